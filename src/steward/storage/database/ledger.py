"""Opens the ledger: one engine, durable commits, migrations, and errors in words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from steward.errors import ConfigurationError, NewerStore
from steward.storage.database import postgres
from steward.storage.database.storage_errors import in_words, storage_error, usable
from steward.storage.database.transitions import NOTED, Transition, Watcher
from steward.storage.database.write_lock import PATIENT, PROMPT, SLICE, WriteLock
from steward.system import private_files

T = TypeVar("T")

# Ascending revisions; each has a file in migrations/versions. The last one is what this program writes.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")


class Ledger:
    """The only truth about tasks. `write()` and `read()` give connections; the modules beside this one use them."""

    def __init__(self, url: str, *, patience: float = PATIENT) -> None:
        """`patience` is how long a write waits for others, in seconds; `be_prompt` shortens it."""
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.path = store_path(self.url)
        self.lock = WriteLock(patience)
        self.engine = _engine(self.url, self.lock)
        self.watchers: list[Watcher] = []
        """Who is told of the tasks that a commit has changed, after it."""

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection for reading."""
        with in_words(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection inside a transaction; on disk when the block has ended without an error.

        Raises:
            StorageFull, StorageUnavailable: nothing was written. `StorageBusy`: others were at it all the time.
        """
        with in_words(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.info["write"] = True
            try:
                with _noted(connection, self.watchers) if self.watchers else _UNWATCHED, connection.begin():
                    yield connection
            finally:
                connection.info.pop("write", None)

    def keep(self) -> PinnedConnection:
        """Return a connection for many writes in turn: to fetch one and give it back costs as much as to write.

        Raises:
            StorageUnavailable: there is none to be had.
        """
        with in_words():
            connection = self.engine.connect().execution_options(steward_kept=True)
            return PinnedConnection(connection, self.lock if self.is_sqlite else None, self.watchers)

    def apply(self, change: Callable[[sa.Connection], T]) -> T:
        """Return what `change` returns, committed. Raises as `write`."""
        with self.write() as connection:
            return change(connection)

    def open(self) -> None:
        """Create or migrate the tables as needed.

        Raises:
            NewerStore: a newer version of the program has written here.
            ConfigurationError: the folder cannot be made or written.
        """
        if self.path is not None:
            _ensure_folder(self.path.parent)
        revision = self.revision()
        if revision == REVISIONS[-1]:
            return
        if revision is not None and revision not in REVISIONS:
            raise NewerStore(
                f"The ledger at {self.url.render_as_string()} was written by a newer version of Steward",
                f"Its schema is {revision}; this version knows up to {REVISIONS[-1]}",
                "Install the newer version again, or restore a backup made before it",
            )
        from steward.storage.database.schema import migrate

        with in_words():
            migrate.upgrade(self.engine)

    def revision(self) -> str | None:
        """Return the schema revision that the store has, or None if it is empty."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            value: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return value

    def be_prompt(self, patience: float) -> None:
        """Let writes wait `patience` seconds at most from now on: somebody waits for an answer."""
        self.lock.patience = patience
        self.engine.dispose()  # PostgreSQL's sessions are told when they are opened

    def is_writable(self, seconds: float) -> bool:
        """Return whether a write could begin within `seconds`; PostgreSQL has no lock that would stop all of them.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
        if not self.is_sqlite:
            return True
        with in_words(), contextlib.closing(self.engine.raw_connection()) as connection:
            return self.lock.is_free(connection.driver_connection, seconds)

    def end_frozen(self) -> int:
        """End the sessions of frozen processes of ours in PostgreSQL, which others wait for; return how many.

        SQLite's lock is held by a process, not by a session: see `watchdog`.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
        if self.is_sqlite:
            return 0
        with self.read() as connection:
            return postgres.end_frozen(connection)

    def close(self) -> None:
        """Free the connections."""
        self.engine.dispose()


class PinnedConnection:
    """One connection for transaction after transaction, begun and ended by the driver itself.

    SQLAlchemy's own take ten times as long as the driver's, and more than many a commit's few statements.
    """

    def __init__(self, connection: sa.Connection, lock: WriteLock | None, watchers: list[Watcher]) -> None:
        """`lock` is SQLite's, or none: PostgreSQL begins by itself."""
        self._connection, self._lock, self._watchers = connection, lock, watchers
        self._driver: Any = connection.connection.driver_connection

    def apply(self, change: Callable[[sa.Connection], T]) -> T:
        """Return what `change` returns, committed. Raises as `Ledger.apply`; after an error, `close` this."""
        try:
            with _noted(self._connection, self._watchers) if self._watchers else _UNWATCHED:
                if self._lock is not None:
                    self._lock.begin(self._driver)
                value = change(self._connection)
                self._driver.commit()
        except BaseException as error:
            with contextlib.suppress(Exception):  # it is closed next, and the first error is the one to tell
                self._driver.rollback()
            if isinstance(error, IntegrityError) or not isinstance(error, (DBAPIError, self._errors)):
                raise
            raise storage_error(error) from error
        return value

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()

    @property
    def _errors(self) -> type[Exception]:
        errors: type[Exception] = self._connection.dialect.loaded_dbapi.Error
        return errors


_UNWATCHED = contextlib.nullcontext()


@contextmanager
def _noted(connection: sa.Connection, watchers: list[Watcher]) -> Iterator[None]:
    """Let the block note what it changes in tasks, and tell the watchers once it has ended without an error."""
    noted = connection.info[NOTED] = list[Transition]()
    try:
        yield
    finally:
        connection.info.pop(NOTED, None)
    if noted:
        for watcher in watchers:
            watcher(noted)


def _engine(url: sa.URL, lock: WriteLock) -> sa.Engine:
    with usable("STEWARD_DATABASE_URL", "postgresql://user@host/steward"):
        if url.get_backend_name() != "sqlite":
            return postgres.engine(url, lambda: lock.patience if lock.patience > PROMPT else lock.patience / 2)
        engine = sa.create_engine(
            url, hide_parameters=True, pool_size=10, max_overflow=20, connect_args={"timeout": SLICE}
        )
    keep_private(engine)
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", partial(_begin, lock))
    return engine


def keep_private(engine: sa.Engine) -> None:
    """Let the file of a SQLite database be made, or narrowed, for this user alone before it is first opened."""
    name = engine.url.database or ":memory:"
    if name == ":memory:" or name.startswith("file:"):
        return

    def prepare(*_: Any) -> None:
        with contextlib.suppress(OSError):  # SQLite says better why a file cannot be made
            private_files.make_store(Path(name))

    sa.event.listen(engine, "do_connect", prepare)


def _set_pragmas(connection: Any, record: Any) -> None:
    # The driver's own transaction handling is switched off: it would begin late and commit before DDL.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={int(SLICE * 1000)}",
        "foreign_keys=ON",
        "secure_delete=ON",
        "wal_autocheckpoint=4000",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(lock: WriteLock, connection: sa.Connection) -> None:
    if connection.get_execution_options().get("steward_kept"):
        return
    if connection.info.get("write"):
        lock.begin(connection.connection.driver_connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _ensure_folder(folder: Path) -> None:
    try:
        private_files.make_folder(folder)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {folder} cannot be made",
            error.strerror or str(error),
            "Create it, or set STEWARD_DATA_DIR to a folder that this user may write",
        ) from error
    if not writable:
        raise ConfigurationError(
            f"The data folder {folder} cannot be written",
            "This user may not write there",
            "Change its owner or mode, or set STEWARD_DATA_DIR to another folder",
        )


def store_path(url: str | sa.URL) -> Path | None:
    """Return the file of the store at `url`; None where it is no SQLite, or only in memory without a name."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.database and parsed.get_backend_name() == "sqlite" else None
