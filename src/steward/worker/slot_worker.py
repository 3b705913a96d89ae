"""A performer that holds a slot, takes over what earlier holders left, and frees what the dead beside it held."""

from __future__ import annotations

import logging
import threading

from steward.errors import StewardError
from steward.installation.container import Steward
from steward.storage.database import Connection
from steward.storage.fleet import heartbeat, leases, workers
from steward.storage.tasks import recovery
from steward.system.clock import now
from steward.tasks.wakeup import WakeupReceiver
from steward.worker import slots
from steward.worker.watchdog import Watchdog
from steward.worker.worker import Worker

log = logging.getLogger(__name__)


class SlotWorker(Worker):
    """One per slot. What a dead one left is freed at once by whoever holds its slot next, or within a second by others.

    Where no file lock reaches, on another host, the lease in the ledger decides, and the dispatcher frees.
    """

    def __init__(self, steward: Steward, *, engine: str, leaving: threading.Event | None = None) -> None:
        self._folder = steward.slots_folder
        self._slot = slots.take(self._folder)
        # From the first moment: this may be the process that finds the store locked, and the one that holds it frozen.
        self._watchdog = Watchdog(self._folder, steward.stores, self._slot, steward.end_frozen)
        self._watchdog.start()
        self._receiver = WakeupReceiver()
        super().__init__(steward, engine=engine, slot=self._slot.name, nudge_port=self._receiver.port, leaving=leaving)

    def enter(self) -> None:
        """Take over what earlier holders of this slot left, and enter the ledger."""
        self.start(self._take_over)

    def leave(self) -> bool:
        """Finish or free what is in hand; return whether nothing was left. The slot is released by `release`."""
        self.stopping.set()
        self._receiver.wake()
        return self.stop()

    def release(self) -> None:
        """Give the slot back, after everything else."""
        self._watchdog.stop()
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

    def _take_over(self, connection: Connection, moment: int) -> None:
        # We hold the slot's lock, so whoever held it before is dead, whatever its lease says.
        _free(connection, workers.of_slot(connection, self.host, self._slot.name), moment)

    def _adopt(self, slot: str) -> None:
        with self.steward.ledger.read() as connection:
            dead = workers.of_slot(connection, self.host, slot)
        if not dead:
            return
        log.warning("adopting the tasks of %s", ", ".join(dead))
        self.steward.ledger.apply(lambda c: _free(c, dead, now()))
        self._receiver.wake()


def _free(connection: Connection, dead: list[str], moment: int) -> None:
    heartbeat.retire(connection, dead)
    recovery.release(connection, dead, moment)
    leases.drop(connection, dead)
