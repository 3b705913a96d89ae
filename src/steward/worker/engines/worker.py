"""The default worker: holds a slot, relays due tasks to DBOS in its own process, and adopts what the dead held."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from functools import partial

from steward.installation.container import Steward
from steward.storage.database import notifications
from steward.worker import dispatcher as relays
from steward.worker.dispatcher import Relay
from steward.worker.engines.embedded import DurableEngine, system_store
from steward.worker.slot_worker import SlotHolder

log = logging.getLogger(__name__)


class Worker(SlotHolder):
    """One per slot, with a relay of its own and DBOS to perform what the relay hands over."""

    def __init__(self, steward: Steward, leaving: threading.Event | None = None) -> None:
        super().__init__(steward, engine="durable", leaving=leaving)
        self._dbos: DurableEngine | None = None

    def begin(self) -> None:
        """Take over what earlier holders of this slot left, enter the ledger, and work."""
        self.enter()
        self.warm()
        settings = self.steward.settings
        self._dbos = DurableEngine(
            system_store(settings.ledger_url, settings.data_dir), self.executor(self._slot.name), self.runner.perform
        )
        relay = Relay(self.steward.ledger, self._dbos, self.id, self._receiver, relays.lanes(settings.render_processes))
        self.await_warm()
        self.spawn("relay", partial(relay.run, self.stopping))
        self.spawn("notices", partial(notifications.listen, self.steward.ledger, self._receiver.wake, self.stopping))
        log.info("worker %s is ready", self.id)

    def end(self) -> None:
        """Leave in good order."""
        if self.leave() and self._dbos is not None:
            self._dbos.close(0)
        self.release()

    def executor(self, slot: str) -> str:
        """Return the name under which DBOS knows `slot`: no other folder of slots has it, on whatever host."""
        return f"{self.host}/{slot}"

    def adopt(self, slot: str) -> None:
        """Let DBOS recover what it holds for a dead slot."""
        if self._dbos is not None:
            self._dbos.adopt([self.executor(slot)])

    def prune(self) -> None:
        """Forget finished batches."""
        if self._dbos is not None:
            self._dbos.prune()


def run(steward: Steward) -> int:
    """Work until SIGTERM or SIGINT, then leave within half a minute; does not return but ends the process."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(steward, ended)
    worker.begin()
    # What the program is made of lives to its end: looking through it again and again is lost time (5 %, measured).
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    ended.wait()
    worker.end()
    log.info("worker %s has left", worker.id)
    logging.shutdown()
    # Threads of a handler that never returns must not hold the process up.
    os._exit(0)
