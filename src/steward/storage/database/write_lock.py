"""SQLite's write lock: taken at once, waited for with patience that has an end, and never waited for by a reader."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Any, Final

from steward.errors import StorageBusy

SLICE: Final = 1.5
"""Seconds for which SQLite itself waits for a lock. Readers wait too, but only while a crash is recovered from."""
PATIENT: Final = 30.0
"""Seconds that a worker, a command or an application waits: longer than it takes to end a frozen holder."""
PROMPT: Final = SLICE
"""Seconds that the web server waits: it answers within two."""
_BRIEF: Final = 0.1
_LONG: Final = 1.0


class WriteLock:
    """Begins transactions that write. Where patience is short, whoever comes after one that gave up waits less."""

    def __init__(self, patience: float = PATIENT) -> None:
        self.patience = patience
        self._given_up = False
        self._waiting: dict[int, float] = {}
        self._stood_at = float("-inf")

    def begin(self, driver: Any) -> None:
        """Begin a transaction on the driver's own connection, with the lock.

        A writer takes the lock at once: upgrading a read lock later fails at once when another has written since.

        Raises:
            StorageBusy: another process had the lock all the time.
        """
        patience = self.patience
        if self._given_up and patience <= PROMPT:
            # Nobody has had it since: threads that wait for nothing must not pile up.
            patience = min(patience, _BRIEF)
        began = time.monotonic()
        self._waiting[threading.get_ident()] = began
        end, changed = began + patience, False
        try:
            while True:
                left = max(end - time.monotonic(), 0.0)
                if left < SLICE:
                    changed = True
                    driver.execute(f"PRAGMA busy_timeout={int(left * 1000)}")
                try:
                    driver.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if not is_busy(error):
                        raise
                    if time.monotonic() >= end or left < SLICE:
                        self._given_up = True
                        raise busy() from error
                else:
                    self._given_up = False
                    return
        finally:
            if time.monotonic() - began > _LONG:
                self._stood_at = time.monotonic()
            del self._waiting[threading.get_ident()]
            if changed:
                driver.execute(f"PRAGMA busy_timeout={int(SLICE * 1000)}")

    def stood(self, seconds: float) -> bool:
        """Return whether somebody of this process waits long for the lock, or has within the last `seconds`.

        Nobody can show life in a ledger that stands still: who looks dead then may only have waited like us.
        """
        moment = time.monotonic()
        waits = any(moment - since > _LONG for since in list(self._waiting.values()))
        return waits or moment - self._stood_at < seconds

    @property
    def stands(self) -> bool:
        """Whether the last who asked for it here did not get it."""
        return self._given_up

    def is_free(self, driver: Any, seconds: float) -> bool:
        """Return whether the lock can be had within `seconds`; it is not kept."""
        driver.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")
        try:
            driver.execute("BEGIN IMMEDIATE")
            driver.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            return False
        else:
            self._given_up = False
        finally:
            driver.execute(f"PRAGMA busy_timeout={int(SLICE * 1000)}")
        return True


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether `error` says that another has the lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def busy() -> StorageBusy:
    """Return the error for a lock that could not be had."""
    return StorageBusy(
        "The store is busy",
        "Another process holds its write lock",
        "Try again in a moment; /readyz and the log say who holds it if it stays",
    )
