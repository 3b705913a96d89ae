"""Requests that write: they have threads of their own, and what many hand over at the same moment is one commit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from steward.storage.database import Connection, Ledger
from steward.storage.database.group_commit import GroupCommit

T = TypeVar("T")
MOST: Final = 40
_places: Final = RunVar[CapacityLimiter]("places of requests that write")


async def run_writing(function: Callable[..., T], *args: Any) -> T:
    """Return what `function` returns, called in a thread; at most `MOST` of them at once, the others wait.

    They are apart from the threads of requests that read, which never wait for a write.
    """
    try:
        places = _places.get()
    except LookupError:
        places = CapacityLimiter(MOST)
        _places.set(places)
    return await anyio.to_thread.run_sync(partial(function, *args), limiter=places)


class GroupCommitLedger(Ledger):
    """The same ledger on the same connections. Between `begin` and `end` its `apply` groups commits.

    So the disk is waited for once, however many hand over at the same moment.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.url, self.is_sqlite, self.path, self.engine = ledger.url, ledger.is_sqlite, ledger.path, ledger.engine
        self.lock, self.watchers = ledger.lock, ledger.watchers
        self._writer: GroupCommit | None = None

    def begin(self) -> None:
        """Start grouping."""
        self._writer = self._writer or GroupCommit(self)

    def end(self) -> None:
        """Commit what is waiting, and group no more."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def note(self, change: Callable[[Connection], object]) -> None:
        """Commit `change` when there is time for it; whoever asks does not wait, and hears nothing if it fails."""
        writer = self._writer
        if writer is not None:
            writer.submit(change)

    def apply(self, change: Callable[[Connection], T]) -> T:
        """Return what `change` returns, committed. Raises as `Ledger.apply`."""
        writer = self._writer
        return super().apply(change) if writer is None else writer.apply(change)
