"""The Celery worker of `steward work`: threads that perform what the broker brings, and a relay beside them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery import Celery
from celery.worker import WorkController
from celery.worker import state as celery_state
from celery.worker.consumer import Consumer

from steward.installation.container import Steward
from steward.installation.settings import Settings
from steward.model.declaration.queues import QUEUES
from steward.sandbox.confinement import die_with
from steward.storage.database import notifications
from steward.system.clock import new_id
from steward.tasks.engine import Perform
from steward.tasks.wakeup import WakeupReceiver
from steward.worker import dispatcher as relays
from steward.worker.engines.celery.app import TASK, application
from steward.worker.engines.celery.broker import CeleryBroker
from steward.worker.engines.celery.publisher import BrokerPublisher
from steward.worker.slot_worker import SlotWorker
from steward.worker.watchdog import watching

log = logging.getLogger(__name__)

THREADS = 32
"""Messages in hand at once: more than the relay publishes for one worker in slow lanes, so that urgent ones pass."""
MOST_IDS = 1000
PAUSE = 2.0
_wait = threading.Event().wait


class BrokerConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's own, with pauses of at most 5 seconds between two tries to reach the broker, instead of 30.

    It does without what nobody here asks for: gossip, events, remote control, and Celery's delayed deliveries.
    """

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """What Celery starts, in this order."""

        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "celery.worker.consumer.events:Events",
            "celery.worker.consumer.heart:Heart",
            "celery.worker.consumer.tasks:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

    _tried = float("-inf")

    def ensure_connected(self, conn: Any) -> Any:
        """Return a connection, however long that takes; a broker that refuses us is not asked again and again."""
        while time.monotonic() - self._tried < PAUSE:
            celery_state.maybe_shutdown()
            _wait(0.2)
        self._tried = time.monotonic()
        conn.ensure_connection = partial(conn.ensure_connection, interval_start=1, interval_step=1, interval_max=5)
        return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Return what is called with each message; one that cannot be read is refused and named, and ends nothing."""
        received = super().create_task_handler(*args, **kwargs)

        def careful(message: Any) -> Any:
            try:
                return received(message)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:
                log.error("a message that is none of ours was refused (%s)", type(error).__name__)
                message.reject_log_error(log, self.connection_errors)

        return careful


class CeleryWorker(SlotWorker):
    """`steward work` with the engine `celery`: one process, one performer, any number of threads."""

    def __init__(self, steward: Steward, leaving: threading.Event | None = None) -> None:
        super().__init__(steward, engine="celery", leaving=leaving)
        self._controller: Any = None
        self.failed = threading.Event()

    def begin(self) -> None:
        """Enter the ledger, relay or stand ready to, and take what the broker brings."""
        settings = self.steward.settings
        broker = CeleryBroker(settings)
        self.enter()
        self.warm()
        lanes = relays.lanes(settings.render_processes)
        relay = BrokerPublisher(self.steward.ledger, broker, self.id, self._receiver, lanes)

        def perform(ids: Sequence[str]) -> None:
            self.runner.perform(ids)
            if relay.is_full:
                self._receiver.wake()

        app = registered(application(settings), perform)
        self.spawn("relay", partial(relay.run, self.stopping))
        self.spawn("notices", partial(notifications.listen, self.steward.ledger, self._receiver.wake, self.stopping))
        self._controller = WorkController(
            app=app,
            hostname=self.id.replace("/", "."),
            pool_cls="threads",
            concurrency=THREADS,
            queues=list(QUEUES),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        # What is urgent has a process of its own, and would wait for its start behind all that need none.
        self.await_warm()
        threading.Thread(target=self._consume, name="celery", daemon=True).start()
        log.info("worker %s is ready", self.id)

    def end(self) -> None:
        """Take nothing more, finish what is in hand, and leave; messages that were not begun return to the broker."""
        celery_state.should_stop = os.EX_OK
        self.leave()
        self.release()

    def _consume(self) -> None:
        try:
            self._controller.start()
        except Exception:
            log.exception("Celery ended")
        finally:
            if not self.stopping.is_set():
                self.failed.set()


def registered(app: Celery, perform: Perform) -> Celery:
    """Return `app` with the one task there is. Celery's own are taken out: a forged message finds nothing to run."""

    def checked(ids: Any) -> None:
        if not (
            isinstance(ids, list) and len(ids) <= MOST_IDS and all(isinstance(i, str) and len(i) == 36 for i in ids)
        ):
            log.error("a message that is none of ours was refused")
            return
        perform(ids)

    app.conf.worker_consumer = f"{__name__}:{BrokerConsumer.__name__}"
    app.task(name=TASK)(checked)
    app.finalize()
    for name in list(app.tasks):
        if name != TASK:
            app.tasks.pop(name)
    return app


def run(steward: Steward) -> int:
    """Work until SIGTERM or SIGINT, then leave within half a minute; does not return but ends the process."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for noisy in ("celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.connection"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    worker = CeleryWorker(steward, ended)
    worker.begin()
    while not ended.wait(0.5):
        if worker.failed.is_set():  # the supervisor starts another
            log.error("worker %s cannot go on without Celery", worker.id)
            break
    worker.end()
    log.info("worker %s has left", worker.id)
    logging.shutdown()
    # Threads of a handler that never returns must not hold the process up.
    os._exit(0 if ended.is_set() else 1)


def relay(settings: Settings, parent: int = 0) -> int:
    """Relay to the broker, or stand ready to, until SIGTERM or the end of `parent`."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if parent:
        die_with(parent)
    steward = Steward(settings)
    steward.observe()
    receiver = WakeupReceiver()
    lanes = relays.lanes(settings.render_processes)
    name = f"{socket.gethostname()[:40]}/relay/{new_id()[9:]}"
    work = BrokerPublisher(steward.ledger, CeleryBroker(settings), name, receiver, lanes)
    thread = threading.Thread(target=work.run, args=(ended,), name="relay")
    thread.start()
    threading.Thread(target=notifications.listen, args=(steward.ledger, receiver.wake, ended), daemon=True).start()
    with watching(steward.slots_folder, steward.stores, "relay", steward.end_frozen):
        ended.wait()
        receiver.wake()
        thread.join(10)
    return 0
