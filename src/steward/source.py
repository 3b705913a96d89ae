"""Read-only access to the application's database: named parameters in, streamed rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar, overload

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from steward.errors import ConfigurationError, SourceUnavailable

Row = Mapping[str, Any]
BATCH = 500


@overload
def to_decimal(value: None, places: int = 2) -> None: ...
@overload
def to_decimal(value: Decimal | float | str, places: int = 2) -> Decimal: ...
def to_decimal(value: Decimal | float | str | None, places: int = 2) -> Decimal | None:
    """Return a figure of a `NUMERIC` column as the decimal that was stored, with `places` digits; None stays None.

    SQLite gives such columns as int or float, PostgreSQL as Decimal. A float's shortest text is the stored decimal
    up to 15 digits (IEEE 754). Add money up as decimals: `SUM` in SQLite adds floats.
    """
    if value is None:
        return None
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


@overload
def to_date(value: None) -> None: ...
@overload
def to_date(value: date | str) -> date: ...
def to_date(value: date | str | None) -> date | None:
    """Return a `DATE` or `TIMESTAMP` column as a day; None stays None. SQLite gives them as ISO text."""
    if isinstance(value, str):
        return date.fromisoformat(value[:10])
    return value.date() if isinstance(value, datetime) else value


class Source:
    """Ask for it as a handler's parameter (`source: Source`). Statements are SQL text with `:named` parameters.

    Pass days as `date`, not as text: then one statement is right for SQLite and PostgreSQL. Read figures with
    `to_decimal` and days with `to_date`, since the two give them in different types.
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
        """
        with self._connection() as connection:
            result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(
                sa.text(statement), parameters
            )
            for row in result.mappings():
                yield dict(row)

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
            raise SourceUnavailable(
                "The application's database cannot be read",
                str(error.orig).splitlines()[0],
                "Check STEWARD_SOURCE_URL and that the database is up",
            ) from error


def _read_only_engine(url: str) -> sa.Engine:
    if not url:
        raise SourceUnavailable(
            "No application database is set",
            "This task reads figures from the application's database",
            "Set STEWARD_SOURCE_URL to its SQLAlchemy URL, for example sqlite:///members.sqlite3",
        )
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            parsed = parsed.set(database=f"file:{parsed.database}", query={**parsed.query, "mode": "ro", "uri": "true"})
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The driver for STEWARD_SOURCE_URL is not installed ({error.name})",
            remedy="For PostgreSQL: pip install 'steward-tasks[postgres]'",
        ) from error
    except SQLAlchemyError as error:
        raise ConfigurationError(
            "STEWARD_SOURCE_URL is not a database URL", str(error), "Example: sqlite:///members.sqlite3"
        ) from error
