"""The default worker: holds a slot, relays due tasks to DBOS in its own process, and adopts what the dead held."""

from __future__ import annotations

import logging
import os
import signal
import threading
from functools import partial

import sqlalchemy as sa

from steward import relay as relays
from steward import slots
from steward.app import Steward
from steward.clock import now
from steward.errors import StewardError
from steward.ledger import attempts, workers
from steward.nudge import NudgeReceiver
from steward.performer import Performer
from steward.relay import Relay
from steward.services.durable import DurableEngine, system_store

log = logging.getLogger(__name__)


class Worker(Performer):
    """One per slot. What a dead worker left is freed at once here, and adopted within a second by any other."""

    def __init__(self, steward: Steward) -> None:
        self._folder = steward.settings.data_dir / "slots"
        self._slot = slots.take(self._folder)
        self._receiver = NudgeReceiver()
        super().__init__(steward, engine="durable", slot=self._slot.name, nudge_port=self._receiver.port)
        self._dbos: DurableEngine | None = None

    def begin(self) -> None:
        """Take over what earlier holders of this slot left, enter the ledger, and work."""
        self.start(self._take_over)
        settings = self.steward.settings
        self._dbos = DurableEngine(
            system_store(settings.ledger_url, settings.data_dir), self._slot.name, self.runner.perform
        )
        relay = Relay(self.steward.ledger, self._dbos, self.id, self._receiver, relays.lanes(settings.render_processes))
        self.spawn("relay", partial(relay.run, self.stopping))
        self.warm()
        log.info("worker %s is ready", self.id)

    def end(self) -> None:
        """Leave in good order."""
        self.stopping.set()
        self._receiver.wake()
        if self.stop() and self._dbos is not None:
            self._dbos.close(0)
        self._slot.release()

    def each_heartbeat(self) -> None:
        """Free what the dead hold: a slot file that nobody locks belonged to a process that is no more."""
        try:
            for slot in slots.free(self._folder, self._slot.number):
                try:
                    self._adopt(slot.name)
                finally:
                    slot.release()
        except (StewardError, OSError) as error:
            log.warning("dead workers could not be looked for: %s", error)

    def mail_moves(self) -> None:
        """Hand over what waited for the mail server."""
        self._receiver.wake()

    def prune(self) -> None:
        """Forget finished batches."""
        if self._dbos is not None:
            self._dbos.prune()

    def _take_over(self, connection: sa.Connection, moment: int) -> None:
        # We hold the slot's lock, so whoever held it before is dead, whatever its lease says.
        before = workers.of_slot(connection, self.host, self._slot.name)
        workers.retire(connection, before, moment)
        attempts.release(connection, before, moment)

    def _adopt(self, slot: str) -> None:
        with self.steward.ledger.read() as connection:
            dead = workers.of_slot(connection, self.host, slot)
        if not dead:
            return
        log.warning("adopting the tasks of %s", ", ".join(dead))
        if self._dbos is not None:
            self._dbos.adopt([slot])

        def free(connection: sa.Connection) -> None:
            moment = now()
            workers.retire(connection, dead, moment)
            attempts.release(connection, dead, moment)

        self.steward.ledger.apply(free)
        self._receiver.wake()


def run(steward: Steward) -> int:
    """Work until SIGTERM or SIGINT, then leave within half a minute; does not return but ends the process."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(steward)
    worker.begin()
    ended.wait()
    worker.end()
    log.info("worker %s has left", worker.id)
    logging.shutdown()
    # Threads of a handler that never returns must not hold the process up.
    os._exit(0)
