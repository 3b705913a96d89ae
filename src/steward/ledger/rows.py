"""Runs one statement for many rows past SQLAlchemy's compiler, which takes longer for a row than the database does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa


def run_each(connection: sa.Connection, sql: str, rows: list[tuple[Any, ...]]) -> int:
    """Run `sql`, with a "?" for each value, once for each of `rows`; return how many rows of the table it changed.

    Values are in the ledger's own form: no enumerations, no dates.
    """
    return connection.exec_driver_sql(_marked(sql, connection.dialect.paramstyle), rows).rowcount if rows else 0


def find_among(connection: sa.Connection, sql: str, values: Iterable[Any]) -> Sequence[Any]:
    """Return what `sql` finds; "(??)" in it stands for all of `values`."""
    given = tuple(values)
    marks = ", ".join("?" * len(given))
    sql = sql.replace("(??)", f"({marks})")
    return connection.exec_driver_sql(_marked(sql, connection.dialect.paramstyle), given).all() if given else []


@lru_cache(maxsize=256)
def _marked(sql: str, style: str) -> str:
    return sql if style == "qmark" else sql.replace("?", "%s")
