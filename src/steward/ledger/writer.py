"""Commits many small changes together: one thread, one transaction per flush, the answer after the disk has it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import sqlalchemy as sa

from steward.ledger.ledger import Ledger

log = logging.getLogger(__name__)
T = TypeVar("T")
Change = Callable[[sa.Connection], Any]
MOST = 500


class GroupWriter:
    """Takes changes from any thread. A change that fails does not take its neighbours down with it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._queue: queue.SimpleQueue[tuple[Change, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[sa.Connection], T]) -> Future[T]:
        """Queue `change`; the future gives its value once committed, or its error (StorageUnavailable among them)."""
        future: Future[T] = Future()
        self._queue.put((change, future))
        return future

    def apply(self, change: Callable[[sa.Connection], T]) -> T:
        """Return the value of `change` once committed. Raises what it raises."""
        return self.submit(change).result()

    def close(self) -> None:
        """Commit what is queued and stop."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch: list[tuple[Change, Future[Any]]] = []
            item = self._queue.get()
            while True:
                if item is None:
                    open_ = False
                    break
                batch.append(item)
                if len(batch) >= MOST:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._flush(batch)

    def _flush(self, batch: list[tuple[Change, Future[Any]]]) -> None:
        try:
            with self.ledger.write() as connection:
                values = [change(connection) for change, _ in batch]
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for item in batch:  # find out which one it was: each alone
                self._flush([item])
        else:
            for (_, future), value in zip(batch, values, strict=True):
                future.set_result(value)
