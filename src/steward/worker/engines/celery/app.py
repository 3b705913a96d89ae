"""Celery behind the same interface: the ledger accepts, the relay publishes ids, Celery workers perform them.

A stock worker works too: `celery -A steward.services.celery worker -Q urgent,mail,reports,jobs,bulk`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from steward.errors import ConfigurationError, MissingExtra
from steward.installation.settings import Settings
from steward.model.declaration.queues import QUEUES
from steward.model.service import Abilities
from steward.tasks.durable import DurableTaskService

try:
    from celery import Celery
    from kombu.entity import Exchange, Queue
except ImportError as error:
    raise MissingExtra(
        "Celery is not installed", "STEWARD_ENGINE=celery needs it", "pip install 'steward-tasks[celery]'"
    ) from error

TASK = "steward.perform"
DEAD = "steward.dead"
"""Exchange and queue of messages that were delivered too often. Nothing in them is lost: the ledger has the tasks."""
DELIVERY_LIMIT = 4
LONGEST_TASK = 7200
"""Seconds; above every handler's limit and the longest wait for a mail server's last reply (600 s)."""
WAIT = 4.0
"""Seconds for which whoever speaks to the broker waits for it."""
HEARTBEAT = 10
SCHEMES = ("amqp://", "amqps://", "pyamqp://", "redis://", "rediss://")


class CeleryTaskService(DurableTaskService):
    """Accepts as the default does; a dead or blocking broker delays nobody, for only the relay talks to it."""

    abilities = Abilities(in_transaction=True)


def is_rabbitmq(url: str) -> bool:
    """Return whether `url` is that of a RabbitMQ."""
    return url.startswith(("amqp", "pyamqp"))


def queues(url: str) -> list[Any]:
    """Return one queue per lane: quorum queues with a delivery limit and a dead-letter exchange on RabbitMQ."""
    if not is_rabbitmq(url):
        return [_queue(name, "steward") for name in QUEUES]
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": DEAD,
        "x-consumer-timeout": (LONGEST_TASK + 600) * 1000,
    }
    return [_queue(name, "steward", arguments) for name in QUEUES]


def dead_letters() -> Any:
    """Return the queue for messages that RabbitMQ has delivered `DELIVERY_LIMIT` times in vain; it keeps the last."""
    return _queue(DEAD, DEAD, {"x-queue-type": "quorum", "x-max-length": 10_000})


def application(settings: Settings, *, publishing: bool = False) -> Celery:
    """Return a Celery application for `settings`, with every setting that makes it safe.

    The one that is `publishing` waits for an answer of Redis no longer than `WAIT`; a worker's is silent for longer.

    Raises:
        ConfigurationError: no broker is set, or one of another kind.
    """
    url = settings.broker_url
    if not url.startswith(SCHEMES):
        raise ConfigurationError(
            "STEWARD_BROKER_URL does not name a broker" if url else "No broker is set",
            "STEWARD_ENGINE=celery hands tasks over through RabbitMQ or Redis",
            "Set STEWARD_BROKER_URL, for example amqp://user:password@host:5672// or redis://host:6379/0",
        )
    app = Celery("steward", broker=url, set_as_current=False)
    if not is_rabbitmq(url):
        app.conf.broker_transport = f"{__package__}.redis:BrokerTransport"
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=queues(url),
        task_default_queue="mail",
        task_default_exchange="steward",
        task_default_routing_key="mail",
        task_create_missing_queues=False,
        task_time_limit=LONGEST_TASK,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_detect_quorum_queues=True,
        # Whoever can write to the broker could otherwise stop every worker, or set its limits.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_proc_alive_timeout=60,
        broker_connection_timeout=WAIT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_heartbeat=None if publishing else HEARTBEAT,
        broker_transport_options=_rabbitmq() if is_rabbitmq(url) else _redis(WAIT if publishing else WAIT * 4),
        enable_utc=True,
    )
    return app


def _queue(name: str, exchange: str, arguments: dict[str, Any] | None = None) -> Any:
    make_queue: Callable[..., Any] = Queue
    make_exchange: Callable[..., Any] = Exchange
    return make_queue(name, make_exchange(exchange, type="direct"), routing_key=name, queue_arguments=arguments)


def _rabbitmq() -> dict[str, Any]:
    return {"confirm_publish": True, "write_timeout": WAIT}


def _redis(answer: float) -> dict[str, Any]:
    # A line that went dead without a word is noticed by the kernel after 10 + 3 x 5 seconds.
    keepalive = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
    return {
        "visibility_timeout": LONGEST_TASK * 2,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 10,
        "socket_timeout": answer,
        "socket_connect_timeout": WAIT,
        "socket_keepalive": True,
        "socket_keepalive_options": keepalive,
        "health_check_interval": 10,
    }
