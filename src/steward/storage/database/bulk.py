"""Runs one statement for many rows on the driver's own cursor: SQLAlchemy takes longer for a row than the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa


def run_each(connection: sa.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run `sql`, with a "?" for each value, once for each of `rows`; return how many rows of the table it changed.

    Values are in the ledger's own form: no enumerations, no dates. `connection` is in a transaction. Raises what
    SQLAlchemy raises for the driver's errors.
    """
    if not rows:
        return 0
    cursor = _cursor(connection)
    try:
        cursor.executemany(_marked(sql, connection.dialect.paramstyle), rows)
        count: int = cursor.rowcount
    except Exception as error:
        raise _told(connection, sql, error) from error
    finally:
        cursor.close()
    return count


def find_among(connection: sa.Connection, sql: str, values: Iterable[Any]) -> Sequence[tuple[Any, ...]]:
    """Return the rows that `sql` finds; "(??)" in it stands for all of `values`. Raises as `run_each`."""
    given = tuple(values)
    if not given:
        return []
    sql = sql.replace("(??)", f"({', '.join('?' * len(given))})")
    cursor = _cursor(connection)
    try:
        cursor.execute(_marked(sql, connection.dialect.paramstyle), given)
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
    except Exception as error:
        raise _told(connection, sql, error) from error
    finally:
        cursor.close()
    return found


def _cursor(connection: sa.Connection) -> Any:
    return connection.connection.cursor()


def _told(connection: sa.Connection, sql: str, error: Exception) -> BaseException:
    errors = connection.dialect.loaded_dbapi.Error
    return sa.exc.DBAPIError.instance(sql, None, error, errors, hide_parameters=True, dialect=connection.dialect)


@lru_cache(maxsize=256)
def _marked(sql: str, style: str) -> str:
    return sql if style == "qmark" else sql.replace("?", "%s")
