"""Commits many small changes together: one thread, one transaction per flush, the answer after the disk has it."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from steward.errors import StorageBusy
from steward.storage.database.ledger import Ledger, PinnedConnection

log = logging.getLogger(__name__)
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  # an item
MOST = 500
LINGER = 0.001
"""Seconds a busy writer waits for company before it commits, unless told otherwise: fewer commits, of more changes."""


@dataclass(slots=True)
class _Wish:
    """One change: alone, or an item that is written together with others of its kind; and whoever waits for it."""

    change: Callable[..., Any]
    future: Future[Any] | asyncio.Future[Any]
    item: Any = None
    together: bool = False


class GroupCommit:
    """Takes changes from any thread. A change that fails does not take its neighbours down with it.

    A busy writer waits up to `linger` seconds for company, and no longer once it has `enough`: more will not come.
    """

    def __init__(self, ledger: Ledger, *, linger: float = LINGER, enough: int = MOST) -> None:
        self.ledger = ledger
        self._linger, self._enough = linger, min(enough, MOST)
        self._queue: queue.SimpleQueue[_Wish | None] = queue.SimpleQueue()
        self._kept: PinnedConnection | None = None
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[sa.Connection], T]) -> Future[T]:
        """Queue `change`; the future gives its value once committed, or its error (StorageUnavailable among them)."""
        future: Future[T] = Future()
        self._queue.put(_Wish(change, future))
        return future

    def commit(self, change: Callable[[sa.Connection, Sequence[I]], Sequence[T]], item: I) -> asyncio.Future[T]:
        """Queue `item`; await the future, in the event loop that called, for its value once committed, or its error.

        `change` is called once for all items that are committed together, and gives a value for each.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Wish(change, future, item, together=True))
        return future

    def apply(self, change: Callable[[sa.Connection], T]) -> T:
        """Return the value of `change` once committed. Raises what it raises."""
        return self.submit(change).result()

    def close(self) -> None:
        """Commit what is queued and stop."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        open_, company = True, False
        while open_:
            batch: list[_Wish] = []
            wish = self._queue.get()
            end = time.monotonic() + self._linger if company else 0.0
            while True:
                if wish is None:
                    open_ = False
                    break
                batch.append(wish)
                if len(batch) >= MOST:
                    break
                try:
                    wish = self._queue.get_nowait()
                except queue.Empty:
                    left = end - time.monotonic() if company and len(batch) < self._enough else 0.0
                    if left <= 0:
                        break
                    try:
                        wish = self._queue.get(timeout=left)
                    except queue.Empty:
                        break
            # One alone is not kept waiting: an idle service answers at once.
            company = len(batch) > 1
            if batch:
                self._flush(batch)
            if not (company and open_):
                self._let_go()

    def _flush(self, batch: list[_Wish]) -> None:
        try:
            if len(batch) > 1:
                self._kept = self._kept or self.ledger.keep()
                values = self._kept.apply(lambda c: _written(c, batch))
            else:
                with self.ledger.write() as connection:
                    values = _written(connection, batch)
        except Exception as error:
            self._let_go()
            # SQLite has one lock: none of them has begun, and none would alone.
            if len(batch) == 1 or (isinstance(error, StorageBusy) and self.ledger.is_sqlite):
                _answer([(wish.future, None, error) for wish in batch])
                return
            for wish in batch:  # find out which one it was: each alone
                self._flush([wish])
        else:
            _answer([(wish.future, value, None) for wish, value in zip(batch, values, strict=True)])

    def _let_go(self) -> None:
        """Give the kept connection back: while nothing happens it may be cut off unseen."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


def _written(connection: sa.Connection, batch: list[_Wish]) -> list[Any]:
    """Make every change of `batch` and return the values in its order; items of one kind are written together."""
    values: list[Any] = [None] * len(batch)
    kinds: dict[Callable[..., Any], list[int]] = {}
    for index, wish in enumerate(batch):
        if wish.together:
            kinds.setdefault(wish.change, []).append(index)
        else:
            values[index] = wish.change(connection)
    for change, places in kinds.items():
        for index, value in zip(places, change(connection, [batch[i].item for i in places]), strict=True):
            values[index] = value
    return values


_Answer = tuple[Future[Any] | asyncio.Future[Any], Any, BaseException | None]


def _answer(answers: Sequence[_Answer]) -> None:
    """Tell everybody who waits; an event loop is woken once for all that wait in it."""
    loops: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for answer in answers:
        future = answer[0]
        if isinstance(future, Future):
            _settle([answer])
        else:
            loops.setdefault(future.get_loop(), []).append(answer)
    for loop, its in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, its)
        except RuntimeError:
            log.warning("%d changes are committed, and whoever waited for them has left", len(its))


def _settle(answers: Sequence[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():  # cancelled meanwhile
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
