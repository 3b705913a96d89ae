"""Wakes the dispatchers of every host through PostgreSQL's LISTEN and NOTIFY; their slow poll is the safety net."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from steward.errors import StorageUnavailable
from steward.storage.database.ledger import Ledger

log = logging.getLogger(__name__)

CHANNEL = "steward"
PAUSE = 0.01
"""Seconds between two notices at most: PostgreSQL lets one transaction at a time commit with a notice in it."""
_NOTIFY = sa.text(f"NOTIFY {CHANNEL}")


def join(connection: sa.Connection) -> None:
    """Add a notice to the transaction of `connection`: it goes out when that is committed, and only then."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY)


class NotificationSender:
    """Sends notices from a thread of its own, so that nobody who hands a task over waits for them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def send(self) -> None:
        """Wake the dispatchers soon; several calls together make one notice. On SQLite, which has no hosts, nothing."""
        if self._ledger.is_sqlite:
            return
        self._wanted.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._ledger.apply(lambda c: c.execute(_NOTIFY))
            except StorageUnavailable:
                pause.wait(1)  # the dispatchers look by themselves as well
            pause.wait(PAUSE)


def listen(ledger: Ledger, heard: Callable[[], None], stop: threading.Event) -> None:
    """Call `heard` for each notice until `stop` is set; a connection that is lost is made again. Returns on SQLite."""
    while not ledger.is_sqlite and not stop.is_set():
        try:
            _listen(ledger, heard, stop)
        except Exception as error:
            log.warning("notices of other hosts are not heard just now: %s", error)
            stop.wait(1)


def _listen(ledger: Ledger, heard: Callable[[], None], stop: threading.Event) -> None:
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"LISTEN {CHANNEL}"))
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101  # it is connected
        heard()  # what was accepted while nobody listened
        try:
            while not stop.is_set():
                if any(True for _ in driver.notifies(timeout=1, stop_after=1)):
                    heard()
        finally:
            connection.invalidate()  # it must not return to the pool and go on listening
