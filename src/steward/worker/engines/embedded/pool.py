"""The embedded engine: a pool of threads in the worker's own process that performs batches of claimed ids.

It keeps nothing. What is due, who has it in hand, what a dead worker left and how often a task may start are facts of
the ledger, and the dispatcher acts on them; so a pool that ends with its process takes nothing along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from steward.tasks.engine import Perform

log = logging.getLogger(__name__)


class WorkerPool:
    """Runs each batch in a thread. The dispatcher bounds how many there are; a thread starts when none is free."""

    name = "durable"

    def __init__(self, perform: Perform, *, threads: int) -> None:
        """`threads` is how many batches may run at once: all that a dispatcher may have in hand, so none waits."""
        self._perform = perform
        self._running: set[Future[None]] = set()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="executor")

    def hand_over(self, ids: Sequence[str], done: Callable[[], None]) -> None:
        """Perform `ids` in a thread and call `done` there at the end, however that comes; returns at once.

        Raises:
            RuntimeError: the pool is closed. `done` is not called.
        """
        running = self._threads.submit(self._run, list(ids), done)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def close(self, seconds: float) -> None:
        """Take nothing more on, and wait up to `seconds` for what is running; it is not interrupted."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(list(self._running), timeout=seconds)

    def _run(self, ids: list[str], done: Callable[[], None]) -> None:
        try:
            self._perform(ids)
        except Exception:
            # The ledger has them: what was begun is queued again by the heartbeat, the rest by the dispatcher.
            log.exception("a batch of %d tasks broke off", len(ids))
        finally:
            done()
