"""Shows that this process lives, and ends what holds a lock of the store and does not live.

In a database server that is a session. A frozen process keeps SQLite's lock, and with it everybody waits. On its own
host, and there only, it can be told from one that works: its slot's file says when it last showed a sign of life, and
the kernel says who holds the lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steward.errors import ConfigurationError
from steward.system import processes
from steward.worker import slots

log = logging.getLogger(__name__)

TURN: Final = 0.5
"""Seconds between two signs of life, and between two looks at the lock."""
LEASE: Final = 15.0
"""Seconds without a sign of life after which the holder of the lock is ended: a worker's lease in the ledger."""
QUIET: Final = 2.0
"""Seconds without a sign of life after which a holder is named; as long it must be seen to stand still, too."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds the write lock of a store: the process, and the slot that it has or works for.

    `slot` is empty for a program that is none of ours. `silent` is for how many seconds the holder of the slot has
    shown no life. A process that was started for a handler has no sign of life of its own.
    """

    store: str
    slot: str
    pid: int
    born: int
    silent: float
    stopped: bool
    child: bool

    @property
    def works(self) -> bool:
        """Whether it can be trusted to give the lock back soon."""
        return bool(self.slot) and self.silent < QUIET and not self.stopped

    def __str__(self) -> str:
        if not self.slot:
            words = f"process {self.pid} ({processes.name(self.pid) or 'unknown'}), none of this service's"
        else:
            words = f"{'a handler of ' if self.child else ''}{self.slot} (process {self.pid})"
        if self.silent >= QUIET:
            return f"{words}, without a sign of life for {self.silent:.0f} seconds"
        return f"{words}, which is stopped" if self.stopped else words


@dataclass(slots=True)
class _Seen:
    evidence: object
    since: float


class Watchdog:
    """One per process that writes to a store. It works in a thread of its own, from `start` to `stop`."""

    def __init__(
        self, folder: Path, stores: Sequence[Path], slot: slots.Slot, end_sessions: Callable[[], int] | None = None
    ) -> None:
        """`folder` is that of the slots, `stores` the databases of SQLite, and `slot` this process's own.

        `end_sessions` ends those that stand still in a database server, and returns how many.
        """
        self._folder, self._stores, self._slot = folder, tuple(stores), slot
        self._end_sessions, self._asked = end_sessions, time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._seen: dict[int, _Seen] = {}
        self._looked = 0.0
        self._named: tuple[str, int] | None = None

    def start(self) -> None:
        """Begin to show life and to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. The slot is the caller's to release."""
        self._stop.set()
        self._thread.join(timeout=2)

    def look(self) -> list[int]:
        """Show life, end who holds a lock and has shown none for the time of a lease, and return their processes."""
        try:
            self._slot.show_life()
        except OSError as error:
            log.warning("the sign of life could not be written: %s", error)
        moment = time.monotonic()
        if moment - self._looked > QUIET:
            self._seen.clear()  # the machine has slept, and so have the others
        self._looked = moment
        found = [each for store in self._stores for each in locked(store, self._folder) if each.pid != os.getpid()]
        self._seen = {each.pid: self._watched(each, moment) for each in found}
        ended = []
        for each in found:
            if self._is_dead(each, moment):
                self._end(each)
                ended.append(each.pid)
        return ended

    def _watched(self, found: LockHolder, moment: float) -> _Seen:
        # A process that has had processor time meanwhile moves, whatever its slot's file says: the disk may be full.
        evidence = (found.store, found.born, processes.spent(found.pid))
        seen = self._seen.get(found.pid)
        return seen if seen is not None and seen.evidence == evidence else _Seen(evidence, moment)

    def _is_dead(self, found: LockHolder, moment: float) -> bool:
        still = moment - self._seen[found.pid].since
        self._name(found, still)
        if found.child and found.stopped and still >= LEASE:
            return True  # its worker lives, and would wait for it up to the limit of its task
        return bool(found.slot) and found.silent >= LEASE and still >= QUIET

    def _name(self, found: LockHolder, still: float) -> None:
        if still >= QUIET and self._named != (found.store, found.pid):
            self._named = (found.store, found.pid)
            log.warning("the write lock of %s is held by %s", found.store, found)

    def _end(self, found: LockHolder) -> None:
        if found.pid not in processes.writers(next(s for s in self._stores if s.name == found.store)):
            return  # it has woken up
        try:
            if processes.end(found.pid, found.born):
                log.error("ended %s: it held the write lock of %s", found, found.store)
        except OSError as error:
            log.error("%s holds the write lock of %s and cannot be ended: %s", found, found.store, error)

    def _look_at_sessions(self) -> None:
        if self._end_sessions is None or time.monotonic() - self._asked < QUIET:
            return
        self._asked = time.monotonic()
        try:
            if count := self._end_sessions():
                log.error("ended %d sessions in the database, frozen in the middle of a transaction", count)
        except Exception as error:  # whoever needs the database says that it is away
            log.debug("the sessions in the database could not be looked at: %s", error)

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # it must never end: what fails now is tried again
                log.warning("the store's lock could not be looked at: %s", error)
            self._look_at_sessions()
            if self._stop.wait(TURN):
                return


def locked(store: Path, folder: Path) -> list[LockHolder]:
    """Return who on this host holds the write lock of `store` just now; `folder` is that of the slots."""
    pids = processes.writers(store)
    if not pids:
        return []
    holders = {holder.pid: holder for holder in slots.holders(folder)}
    found = []
    for pid in pids:
        born = processes.born(pid)
        if born is None:
            continue
        holder, of = holders.get(pid), pid
        while holder is None and (above := processes.parent(of)):  # a process that a worker has started for a handler
            holder, of = holders.get(above), above
        name, silent = ("", 0.0) if holder is None else (holder.name, max(0.0, time.monotonic() - holder.alive_at))
        stopped = processes.spent(pid)[0] in ("T", "t")
        found.append(LockHolder(store.name, name, pid, born, silent, stopped, child=of != pid and holder is not None))
    return found


@contextlib.contextmanager
def watching(
    folder: Path, stores: Sequence[Path], kind: str, end_sessions: Callable[[], int] | None = None
) -> Iterator[None]:
    """Watch while the block lasts, with a slot of this kind; without one (all taken, no room) nobody does."""
    if not stores and end_sessions is None:
        yield
        return
    try:
        slot = slots.take(folder, kind)
    except (ConfigurationError, OSError):
        yield
        return
    watchdog = Watchdog(folder, stores, slot, end_sessions)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        slot.release()
