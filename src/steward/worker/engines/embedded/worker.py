"""The default worker: holds a slot, dispatches due tasks to a pool of its own threads, and adopts the dead's."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial

from steward.installation.container import Steward
from steward.storage.database import notifications
from steward.tasks.engine import Engine, Perform
from steward.worker.dispatcher import Dispatcher, lanes
from steward.worker.slot_worker import SlotWorker

log = logging.getLogger(__name__)


class EmbeddedWorker(SlotWorker):
    """One per slot, with a dispatcher of its own, and an engine that performs what it hands over."""

    def __init__(
        self, steward: Steward, make: Callable[[Perform, int], Engine], leaving: threading.Event | None = None
    ) -> None:
        super().__init__(steward, engine=steward.settings.engine, leaving=leaving)
        self._lanes = lanes(steward.settings.render_processes)
        self._engine_here = make(self.runner.perform, sum(lane.most for lane in self._lanes))

    def begin(self) -> None:
        """Take over what earlier holders of this slot left, enter the ledger, and work."""
        self.enter()
        self.warm()
        dispatcher = Dispatcher(self.steward.ledger, self._engine_here, self.id, self._receiver, self._lanes)
        self.await_warm()
        self.spawn("dispatcher", partial(dispatcher.run, self.stopping))
        self.spawn("notices", partial(notifications.listen, self.steward.ledger, self._receiver.wake, self.stopping))
        log.info("worker %s is ready", self.id)

    def end(self) -> None:
        """Leave in good order."""
        self.leave()
        self._engine_here.close(0)
        self.release()


def run(steward: Steward, make: Callable[[Perform, int], Engine]) -> int:
    """Work until SIGTERM or SIGINT, then leave within half a minute; does not return but ends the process."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = EmbeddedWorker(steward, make, ended)
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
