"""Celery behind the same interface: the ledger accepts, the relay publishes ids, Celery workers perform them.

A stock worker works too: `celery -A steward.services.celery worker -Q urgent,mail,reports,jobs,bulk`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from steward.errors import ConfigurationError, MissingExtra
from steward.handlers import LANES
from steward.service import Abilities
from steward.services.durable import DurableTaskService

try:
    from celery import Celery, signals
    from kombu.entity import Exchange, Queue
except ImportError as error:
    raise MissingExtra(
        "Celery is not installed", "STEWARD_ENGINE=celery needs it", "pip install 'steward-tasks[celery]'"
    ) from error

if TYPE_CHECKING:
    from steward.settings import Settings

log = logging.getLogger(__name__)

TASK = "steward.perform"
DELIVERY_LIMIT = 4
LONGEST_TASK = 3600
"""Seconds; above every handler's limit and the longest wait for a mail server's last reply (600 s)."""
PUBLISH_TIMEOUT = 4.0


class CeleryTaskService(DurableTaskService):
    """Accepts as the default does; a dead or blocking broker delays nobody, for only the relay talks to it."""

    abilities = Abilities(in_transaction=True)


def queues(broker_url: str) -> list[Any]:
    """Return one queue per lane: quorum queues with a delivery limit and a dead-letter exchange on RabbitMQ."""
    made: Any = Queue
    exchange: Any = Exchange
    if not broker_url.startswith(("amqp", "pyamqp")):
        return [made(name, exchange("steward", type="direct"), routing_key=name) for name in LANES]
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "steward.dead",
        "x-dead-letter-routing-key": "dead",
    }
    return [
        made(name, exchange("steward", type="direct"), routing_key=name, queue_arguments=arguments) for name in LANES
    ]


def application(settings: Settings) -> Celery:
    """Return a Celery application for `settings`, with every setting that makes it safe.

    Raises:
        ConfigurationError: no broker is set.
    """
    if not settings.broker_url:
        raise ConfigurationError(
            "No broker is set",
            "STEWARD_ENGINE=celery hands tasks over through RabbitMQ or Redis",
            "Set STEWARD_BROKER_URL, for example amqp://user:password@host:5672//",
        )
    rabbit = settings.broker_url.startswith(("amqp", "pyamqp"))
    options: dict[str, Any] = (
        {"confirm_publish": True, "read_timeout": PUBLISH_TIMEOUT * 4, "write_timeout": PUBLISH_TIMEOUT}
        if rabbit
        else {
            "visibility_timeout": LONGEST_TASK * 2,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 10,
            "socket_timeout": PUBLISH_TIMEOUT * 4,
            "socket_connect_timeout": PUBLISH_TIMEOUT,
            "socket_keepalive": True,
            "health_check_interval": 10,
        }
    )
    app = Celery("steward", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=queues(settings.broker_url),
        task_default_queue="mail",
        task_default_exchange="steward",
        task_default_routing_key="mail",
        task_create_missing_queues=False,
        task_time_limit=LONGEST_TASK,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_detect_quorum_queues=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=PUBLISH_TIMEOUT,
        broker_connection_retry_on_startup=True,
        broker_transport_options=options,
        enable_utc=True,
    )
    return app


class CeleryEngine:
    """Publishes batches of ids; the payload never travels. Used by the relay only, so that it may wait a little."""

    name = "celery"

    def __init__(self, settings: Settings) -> None:
        self._app = application(settings)
        self._rabbit = settings.broker_url.startswith(("amqp", "pyamqp"))
        self._lane_of: dict[str, str] = {}

    def publish(self, lane: str, ids: Sequence[str]) -> None:
        """Put `ids` into the queue of `lane`, confirmed by the broker.

        Raises:
            OSError: the broker cannot be reached or did not confirm in time; the ledger still has the tasks.
        """
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0, timeout=PUBLISH_TIMEOUT)
            self._publish(connection, lane, ids)

    def _publish(self, connection: Any, lane: str, ids: Sequence[str]) -> None:
        extra = {"confirm_timeout": PUBLISH_TIMEOUT} if self._rabbit else {}
        self._app.send_task(TASK, args=[list(ids)], queue=lane, connection=connection, retry=False, **extra)


class _Performer:
    """The runner of this process, made when the first task arrives: Celery forks its pool before that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._perform: Callable[[Sequence[str]], None] | None = None
        self._close: Callable[[], object] = lambda: None

    def __call__(self, ids: Sequence[str]) -> None:
        with self._lock:
            if self._perform is None or self._pid != os.getpid():
                self._start()
            perform = self._perform
        assert perform is not None  # noqa: S101  # set by _start
        perform(ids)

    def _start(self) -> None:
        from steward import settings
        from steward.app import Steward
        from steward.performer import Performer

        performer = Performer(Steward(settings.load()), engine="celery")
        performer.start()
        self._pid, self._perform, self._close = os.getpid(), performer.runner.perform, performer.stop

    def close(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                self._close()
                self._pid = 0


_performer = _Performer()


def perform(ids: list[str]) -> None:
    """Perform `ids`: the one Celery task. What does not look like ids is refused: a forged message runs nothing."""
    if not (isinstance(ids, list) and all(isinstance(i, str) and len(i) == 36 for i in ids)):
        log.error("a message that is none of ours was refused")
        return
    _performer(ids)


def worker_application() -> Celery:
    """Return the application that `celery -A steward.services.celery` finds, from the environment's settings."""
    from steward import settings

    made = application(settings.load())
    made.task(name=TASK, typing=True)(perform)
    return made


def _leave(**_: Any) -> None:
    _performer.close()


signals.worker_process_shutdown.connect(_leave)


def __getattr__(name: str) -> Any:
    # Made when asked for, so that importing this module needs no settings.
    if name in ("app", "celery"):
        made = globals()["app"] = worker_application()
        return made
    raise AttributeError(name)
