"""Joins the caller's own transaction: which connection it is, and that it leads into the ledger's own tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from steward.errors import InvalidOption
from steward.storage.database.ledger import Ledger
from steward.storage.database.storage_errors import storage_error

_TAKEN: Final = "Pass a Connection or Session of SQLAlchemy with a transaction on the ledger's own database"
_IDENTITY: Final = sa.text(
    # One cluster, since its last start, one database of it, and there the one table that a bare name means.
    "SELECT (SELECT system_identifier FROM pg_control_system())::text, pg_postmaster_start_time()::text,"
    " current_database()::text, to_regclass('tasks')::oid::text"
)


@contextmanager
def joined(given: Any, ledger: Ledger, home: tuple[Any, ...] | None = None) -> Iterator[sa.Connection]:
    """Give the connection of `given`, in whose transaction the block may write to the ledger.

    `given` is a Connection in a transaction, or a Session, which begins its own. Nothing has been written when it is
    refused. `home` is what `home_of` has said before, where asking now would hold something up. An error of the
    database inside the block is raised in words, and the transaction is the caller's to end.

    Raises:
        InvalidOption: it is something else, has no transaction, or leads to another database than the ledger's.
        StorageUnavailable: the database refuses.
    """
    try:
        connection = _connection(given)
        _require_transaction(connection)
        if _where(connection) != (home_of(ledger) if home is None else home):
            raise _refused(
                "It leads to another database than the ledger's",
                "Use an engine for the ledger's own database, or hand over after the commit, without a connection",
            )
        _begin_really(connection)
        yield connection
    except DBAPIError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        raise storage_error(error) from error
    except SQLAlchemyError as error:  # closed, or waiting to be rolled back
        raise _refused(" ".join(str(error).split())[:200]) from error


def is_async(given: Any) -> bool:
    """Whether `given` is a connection or session of SQLAlchemy's asyncio part."""
    return isinstance(given, _async_kinds())


def _async_kinds() -> tuple[type, ...]:
    module = sys.modules.get("sqlalchemy.ext.asyncio")  # who has one of these has loaded it
    names = ("AsyncConnection", "AsyncSession", "async_scoped_session")
    return tuple(getattr(module, name) for name in names) if module else ()


def async_session(given: Any) -> Any:
    """Return what has `run_sync` for an AsyncConnection, AsyncSession or `async_scoped_session`.

    Raises:
        InvalidOption: it is none of these.
    """
    if not is_async(given):
        why = f"It is a {type(given).__name__}, which would hold up the event loop"
        raise _refused(why, "Pass an AsyncConnection or AsyncSession, or call enqueue instead of aenqueue")
    return given() if type(given).__name__ == "async_scoped_session" else given


def _connection(given: Any) -> sa.Connection:
    if isinstance(given, scoped_session):
        given = given()
    if isinstance(given, Session):
        return given.connection()
    if isinstance(given, sa.Connection):
        if given.closed:
            raise _refused("It is closed")
        if not given.in_transaction():
            raise _refused("It has no transaction open", "Begin one: with engine.begin() as connection")
        return given
    if is_async(given):
        why = f"It is an {type(given).__name__}, whose statements have to be awaited"
        raise _refused(why, "Write: await service.aenqueue(..., connection=...)")
    raise _refused(f"It is of type {type(given).__module__}.{type(given).__qualname__}")


def _require_transaction(connection: sa.Connection) -> None:
    """A driver in autocommit writes each statement for good; whoever has said BEGIN by hand has a transaction."""
    if connection.dialect.name not in ("sqlite", "postgresql"):
        raise _refused(f"It leads to a {connection.dialect.name}, and the ledger is not there")
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.detect_autocommit_setting(raw) and not _begun(connection):
        raise _refused("It is in autocommit, so that nothing could be undone", "Take one without AUTOCOMMIT")


def _begun(connection: sa.Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return bool(driver.in_transaction)
    status = getattr(getattr(driver, "info", None), "transaction_status", 0)
    return bool(status)  # libpq's PQTRANS_IDLE is 0


def _begin_really(connection: sa.Connection) -> None:
    # Python's sqlite3 begins with the first INSERT; a savepoint before it would be a transaction of its own, and
    # releasing that would commit.
    if connection.dialect.name == "sqlite" and not _begun(connection):
        connection.exec_driver_sql("BEGIN")


def _where(connection: sa.Connection) -> tuple[Any, ...]:
    """Return what only the same database has: on SQLite the file itself, whatever its path; on PostgreSQL its table."""
    if connection.dialect.name == "postgresql":
        return ("postgresql", *connection.execute(_IDENTITY).one())
    files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
    return ("sqlite", *_file(files.get("main") or ""))


def home_of(ledger: Ledger) -> tuple[Any, ...]:
    """Return what `joined` compares with: where the ledger is. Raises StorageUnavailable if it does not answer."""
    if ledger.is_sqlite:
        return ("sqlite", *_file(str(ledger.path or "")))
    with ledger.read() as own:
        return ("postgresql", *own.execute(_IDENTITY).one())


def _file(path: str) -> tuple[Any, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116  # an empty path must stay empty
    except OSError:
        return (path,)
    return (found.st_dev, found.st_ino)


def _refused(why: str, remedy: str = _TAKEN) -> InvalidOption:
    return InvalidOption("The connection cannot be joined", why, remedy)
