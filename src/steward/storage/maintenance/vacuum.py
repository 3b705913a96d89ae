"""Writes a store anew without what was deleted, so that no byte of it is left in free pages or statistics."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from steward.errors import StorageUnavailable
from steward.storage.database import postgres
from steward.storage.database.ledger import Ledger
from steward.storage.maintenance import retention

_PATIENCE: Final = 20.0
"""Seconds for which readers are waited for, until the write-ahead log can be emptied, or a table written anew."""
_SLICE: Final = 0.5
"""Seconds for which others wait behind us at a table of PostgreSQL, and then have to themselves."""


def rewrite(ledger: Ledger, stores: Iterable[Path], schemas: Iterable[str] = ()) -> None:
    """Write the stores anew without what was deleted: free pages and the write-ahead log hold it until then.

    `stores` are the files of SQLite; in PostgreSQL it is the ledger's own tables and those of `schemas` beside it, too.

    Raises:
        StorageUnavailable: there is no room, or others were at it all the time.
    """
    if not ledger.is_sqlite:
        _rewrite_tables(ledger, schemas)
    for store in stores:
        if store.exists():
            _rewrite(store)


def _rewrite_tables(ledger: Ledger, schemas: Iterable[str]) -> None:
    """Write the tables anew, in PostgreSQL, and what its planner has noted of their contents."""
    end = time.monotonic() + _PATIENCE
    try:
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # its session is not for others afterwards
            connection.execute(sa.text(f"SET lock_timeout = {int(_SLICE * 1000)}"))
            _await_older(connection, end)
            for table in retention.every_table(connection, schemas):
                # The planner's statistics hold the commonest values of each column.
                name = connection.dialect.identifier_preparer.format_table(table)
                for words in (*_without_statistics(connection, table, name), f"VACUUM (FULL, ANALYZE) {name}"):
                    _when_free(connection, words, end)
            _await_older(connection, end)
            _when_free(connection, "VACUUM FULL pg_catalog.pg_statistic", end)
    except sa.exc.DBAPIError as error:
        raise _not_rewritten(error.orig or error) from error


def _without_statistics(connection: sa.Connection, table: sa.Table, name: str) -> list[str]:
    """Return what takes the statistics of `table` away if it is empty: ANALYZE would leave the old ones then.

    To give a column its own type again does, writes nothing else anew, and is for the table's owner to do.
    """
    if connection.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)):
        return []
    dialect = connection.dialect
    return [
        f"ALTER TABLE {name} ALTER COLUMN {dialect.identifier_preparer.quote(column.name)}"
        f" TYPE {column.type.compile(dialect)}"
        for column in retention.texts(table)
    ]


def _await_older(connection: sa.Connection, end: float) -> None:
    """Wait for the transactions that have begun before now: what they may see still, VACUUM keeps for them."""
    begun = connection.scalar(sa.text("SELECT clock_timestamp()"))
    while connection.scalar(_OLDER, {"begun": begun}):
        if time.monotonic() > end:
            raise _not_rewritten("others have transactions open")
        time.sleep(_SLICE / 10)


_OLDER: Final = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND xact_start < :begun"
)


def _when_free(connection: sa.Connection, words: str, end: float) -> None:
    """Execute `words` when nobody is at the table: who waits for that makes others wait, so only for a moment each."""
    while True:
        try:
            connection.execute(sa.text(words))
        except sa.exc.DBAPIError as error:
            if not postgres.is_busy(error.orig or error) or time.monotonic() > end:
                raise
            time.sleep(_SLICE)
        else:
            return


def _not_rewritten(error: object) -> StorageUnavailable:
    return StorageUnavailable("The rows were cleared, and the store could not be rewritten", str(error), "Do it again")


def _rewrite(store: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")
            end = time.monotonic() + _PATIENCE
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > end:
                    raise StorageUnavailable(
                        "The write-ahead log could not be emptied", f"{store.name} is being read", "Do it again later"
                    )
    except sqlite3.Error as error:
        raise _not_rewritten(error) from error
