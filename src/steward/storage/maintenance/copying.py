"""Copies a whole ledger into another store, resumable and verified: the way to PostgreSQL, and into a backup."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from steward.errors import ConfigurationError
from steward.storage.database.ledger import Ledger
from steward.storage.database.schema.tables import metadata
from steward.storage.fleet import workers
from steward.system.clock import now

BATCH = 1000


def copy(
    source: Ledger, target: Ledger, told: Callable[[str, int], None] = lambda table, rows: None, *, live: bool = False
) -> dict[str, int]:
    """Copy every table of `source` into `target`, skipping rows that it has; return rows per table.

    Rows go in key order and each batch is one transaction, so that a copy that was killed goes on where it stopped.
    Unless `live`, the source must be at rest: nothing may write to it while it is copied.

    Raises:
        ConfigurationError: the copy differs from the source, or a worker is at work on the source.
    """
    target.open()
    if not live:
        _require_rest(source)
    with source.read() as reading:
        if reading.dialect.name == "postgresql":
            reading = reading.execution_options(isolation_level="REPEATABLE READ")
            # It rests while the target is written to; it locks nothing that others wait for.
            reading.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            reading.execute(sa.text("SET LOCAL application_name = 'steward copy'"))  # see postgres.end_frozen
        counts = {}
        for table in metadata.sorted_tables:
            counts[table.name] = _copy_table(reading, target, table, lambda n, t=table: told(t.name, n))  # type: ignore[misc]
        for table in metadata.sorted_tables:
            wanted = digest(reading, table)
            # A session of the target for each: one that waited for the source would be ended as standing still.
            with target.read() as written:
                if digest(written, table) != wanted:
                    raise ConfigurationError(
                        f"The copy of {table.name} differs from its source",
                        "The target held other rows before, or the source was written to meanwhile",
                        "Stop the service, empty the target, and copy again",
                    )
    return counts


def _copy_table(reading: sa.Connection, target: Ledger, table: sa.Table, told: Callable[[int], None]) -> int:
    key = list(table.primary_key.columns)
    with target.read() as connection:
        newest = [k.desc() for k in _in_order(connection, table)]
        last: Any = connection.execute(sa.select(*key).order_by(*newest).limit(1)).one_or_none()
    copied = 0
    while True:
        ordered = _in_order(reading, table)
        statement = sa.select(table).order_by(*ordered).limit(BATCH)
        if last is not None:
            statement = statement.where(
                sa.tuple_(*ordered) > sa.tuple_(*[sa.literal(v, k.type) for v, k in zip(last, key, strict=True)])
            )
        rows = [dict(row) for row in reading.execute(statement).mappings()]
        if not rows:
            return copied
        with target.write() as connection:
            connection.execute(table.insert(), rows)
        last = tuple(rows[-1][k.name] for k in key)
        copied += len(rows)
        told(copied)


def digest(connection: sa.Connection, table: sa.Table) -> str:
    """Return a fingerprint of every value of `table`, the same on every database."""
    result = hashlib.sha256()
    rows = connection.execution_options(stream_results=True, yield_per=BATCH).execute(
        sa.select(table).order_by(*_in_order(connection, table))
    )
    for row in rows:
        result.update(json.dumps([_plain(v) for v in row], ensure_ascii=False).encode() + b"\n")
    return result.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return hashlib.sha256(value).hexdigest()
    return value


def _in_order(connection: sa.Connection, table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """Return the key of `table` in the order of its bytes, which is the same on every database."""
    key = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql":
        return list(key)
    return [sa.collate(k, "C") if isinstance(k.type, sa.String) else k for k in key]


def _require_rest(source: Ledger) -> None:
    with source.read() as connection:
        alive = workers.living(connection, now())
    if alive:
        raise ConfigurationError(
            "The ledger is in use",
            f"{len(alive)} workers are at work on it, the first is {alive[0].id}",
            "Stop the service first (steward up, serve and work); what was killed counts as stopped after 15 seconds",
        )
