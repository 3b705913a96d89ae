"""Read-only access to the application's database: named parameters in, streamed rows out."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from steward.errors import SourceUnavailable, UnreadableData
from steward.plugins.records import Record
from steward.storage.database.storage_errors import usable
from steward.system.masking import masked

Row = Mapping[str, Any]
BATCH = 500
_MISSING = re.compile(r"no such (table|column): ([\w.]+)|(relation|column) \"?([\w.]+)\"? does not exist")
"""How SQLite and PostgreSQL (SQLSTATE 42P01 and 42703) say that a table or column is not there."""


class Source:
    """Ask for it as a handler's parameter (`source: Source`). Statements are SQL text with `:named` parameters.

    Pass days as `date`, not as text: then one statement is right for SQLite and PostgreSQL. `records` reads each column
    as what it must be, and says of what cannot be read where it stands. In plain rows, columns declared DATE or
    TIMESTAMP are days and times; read figures with `to_decimal`, since the two databases give them in different types.
    The connection is read-only: PostgreSQL transactions are set so, SQLite files are opened in mode `ro`.
    """

    injected_as: ClassVar[str] = "source"

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: sa.Engine | None = None

    def rows(self, statement: str, **parameters: Any) -> Iterator[Row]:
        """Yield the rows one by one as mappings, streamed so that memory stays flat.

        Raises:
            SourceUnavailable: the database cannot be reached or refuses the statement.
            UnreadableData: a table or column that the statement names is not there.
        """
        with self._connection() as connection:
            result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(
                sa.text(statement), parameters
            )
            for row in result.mappings():
                yield dict(row)

    def records(self, table: str, statement: str, *, key: str = "id", **parameters: Any) -> Iterator[Record]:
        """Yield the rows as records of `table`, whose column `key` names the row in messages. Raises as `rows`."""
        return (Record(table, row, key) for row in self.rows(statement, **parameters))

    def all(self, statement: str, **parameters: Any) -> list[Row]:
        """Return all rows. Raises as `rows`."""
        return list(self.rows(statement, **parameters))

    def one(self, statement: str, **parameters: Any) -> Row | None:
        """Return the first row, or None. Raises as `rows`."""
        for row in self.rows(statement, **parameters):
            return row
        return None

    def value(self, statement: str, **parameters: Any) -> Any:
        """Return the first column of the first row, or None. Raises as `rows`."""
        row = self.one(statement, **parameters)
        return None if row is None else next(iter(row.values()))

    def check(self) -> None:
        """Return if the database answers.

        Raises:
            SourceUnavailable: it does not; the words say why.
        """
        self.value("SELECT 1")

    def close(self) -> None:
        """Free the connections."""
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        if self._engine is None:
            self._engine = _read_only_engine(self._url)
        try:
            with self._engine.connect() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.text("SET TRANSACTION READ ONLY"))
                yield connection
        except DBAPIError as error:
            if missing := _MISSING.search(str(error.orig)):
                kind, name = next((k, n) for k, n in (missing.groups()[:2], missing.groups()[2:]) if k)
                raise UnreadableData(
                    f"The application's database has no {'column' if kind == 'column' else 'table'} {name}",
                    "This task reads it",
                    "Add it there, or correct STEWARD_SOURCE_URL",
                ) from error
            raise SourceUnavailable(
                "The application's database cannot be read",
                masked(str(error.orig).splitlines()[0]),
                "Check STEWARD_SOURCE_URL and that the database is up",
            ) from error


def _read_only_engine(url: str) -> sa.Engine:
    if not url:
        raise SourceUnavailable(
            "No application database is set",
            "This task reads figures from the application's database",
            "Set STEWARD_SOURCE_URL to its SQLAlchemy URL, for example sqlite:///members.sqlite3",
        )
    with usable("STEWARD_SOURCE_URL", "sqlite:///members.sqlite3"):
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            parsed = parsed.set(database=f"file:{parsed.database}", query={**parsed.query, "mode": "ro", "uri": "true"})
        more: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            sqlite3.register_converter("DATE", lambda value: _moment(value, date))
            sqlite3.register_converter("TIMESTAMP", lambda value: _moment(value, datetime))
            more["connect_args"] = {"detect_types": sqlite3.PARSE_DECLTYPES}
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True, **more)


def _moment(stored: bytes, kind: type[date]) -> date | str:
    """Return a value of a column that SQLite was told is a DATE or TIMESTAMP; as text if it is neither."""
    text = stored.decode(errors="replace")
    try:
        return kind.fromisoformat(text) if len(text) >= len("2026-03-31") and text[4] == "-" else text
    except ValueError:
        return text
