"""Rows of the application's database read column by column: what cannot be meant is said with table, row and column."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final, overload

from steward.errors import UnreadableData

_FIGURE: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_DAY: Final = re.compile(r"(\d{4}-\d\d-\d\d)([ T].*)?", re.ASCII | re.DOTALL)
_SHOWN: Final = 40


@overload
def to_decimal(value: None, places: int = 2) -> None: ...
@overload
def to_decimal(value: Decimal | float | str, places: int = 2) -> Decimal: ...
def to_decimal(value: Decimal | float | str | None, places: int = 2) -> Decimal | None:
    """Return a figure of a `NUMERIC` column as the decimal that was stored, with `places` digits; None stays None.

    SQLite gives such columns as int or float, PostgreSQL as Decimal. A float's shortest text is the stored decimal
    up to 15 digits (IEEE 754). Add money up as decimals: `SUM` in SQLite adds floats.

    Raises:
        ValueError: it is no figure such as 12.50, or not a finite one.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, (bool, bytes)) or not _FIGURE.fullmatch(text):
        raise ValueError("a figure is needed, as in 12.50")
    try:
        return Decimal(text).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    except InvalidOperation as error:
        raise ValueError("a smaller figure is needed, of at most 28 digits") from error


@overload
def to_date(value: None) -> None: ...
@overload
def to_date(value: date | str) -> date: ...
def to_date(value: date | str | None) -> date | None:
    """Return a `DATE` or `TIMESTAMP` column as a day; None stays None.

    Raises:
        ValueError: it is no day in the form 2026-03-31 (ISO 8601), with or without a time behind it.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None:
            return date.fromisoformat(found[1])
    except ValueError:
        pass
    raise ValueError("a day is needed, as in 2026-03-31")


class Record:
    """A row of `table`. Each column is asked for as what it must be; `Source.records` yields these.

    `key` is the column that names the row in messages, which do not repeat what stands in a `private` column. Where a
    table is joined, a second record over the same row reads the other table's columns.
    """

    __slots__ = ("_key", "_private", "_row", "_table")

    def __init__(self, table: str, row: Mapping[str, Any], key: str = "id", private: tuple[str, ...] = ()) -> None:
        self._table, self._row, self._key, self._private = table, row, key, private

    def text(self, column: str) -> str:
        """Return a text, which may be empty but not NULL. Raises `UnreadableData`."""
        value = self._given(column)
        if not isinstance(value, str):
            raise self._unreadable(column, "a text is needed")
        return value

    def words(self, column: str) -> str:
        """Return a text, empty for NULL. Raises `UnreadableData`."""
        return "" if self._value(column) is None else self.text(column)

    def one_of(self, column: str, known: tuple[str, ...]) -> str:
        """Return a text that is one of `known`. Raises `UnreadableData`."""
        value = self.text(column)
        if value not in known:
            raise self._unreadable(column, f"one of {', '.join(known)} is needed")
        return value

    def decimal(self, column: str, places: int = 2, *, least: int | None = None) -> Decimal:
        """Return a figure with `places` digits, not less than `least`. Raises `UnreadableData`."""
        self._given(column)
        value = self._read(column, lambda given: to_decimal(given, places))
        if least is not None and value < least:
            raise self._unreadable(column, f"a figure not less than {least} is needed")
        found: Decimal = value
        return found

    def integer(self, column: str, *, least: int | None = None) -> int:
        """Return a whole number, not less than `least`. Raises `UnreadableData`."""
        value = self.decimal(column, 6, least=least)
        if value != int(value):
            raise self._unreadable(column, "a whole number is needed")
        return int(value)

    def integer_or_none(self, column: str, *, least: int | None = None) -> int | None:
        """Return a whole number, None for NULL. Raises `UnreadableData`."""
        return None if self._value(column) is None else self.integer(column, least=least)

    def day(self, column: str) -> date:
        """Return a day. Raises `UnreadableData`."""
        self._given(column)
        found: date = self._read(column, to_date)
        return found

    def day_or_none(self, column: str) -> date | None:
        """Return a day, None for NULL. Raises `UnreadableData`."""
        return None if self._value(column) is None else self.day(column)

    def flag(self, column: str) -> bool:
        """Return yes or no. Raises `UnreadableData`."""
        value = self._given(column)
        if not isinstance(value, int) or value not in (0, 1):
            raise self._unreadable(column, "yes or no is needed, as TRUE or FALSE, or 1 or 0")
        return bool(value)

    def flag_or_none(self, column: str) -> bool | None:
        """Return yes or no, None for NULL. Raises `UnreadableData`."""
        return None if self._value(column) is None else self.flag(column)

    def texts(self, column: str) -> frozenset[str]:
        """Return the texts of a JSON array, none for an empty one. Raises `UnreadableData`."""
        value = self._given(column)
        try:
            found = json.loads(value) if isinstance(value, (str, bytes)) else value
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self._unreadable(column, 'a JSON array of texts is needed, as in ["tools", "travel"]')
        return frozenset(found)

    def _value(self, column: str) -> Any:
        try:
            return self._row[column]
        except KeyError as error:
            raise UnreadableData(
                f"The table {self._table} has no column {column}",
                "This report reads it",
                "Add it to the application's database, or correct STEWARD_SOURCE_URL",
            ) from error

    def _given(self, column: str) -> Any:
        value = self._value(column)
        if value is None:
            raise self._unreadable(column, "a value is needed")
        return value

    def _read(self, column: str, read: Any) -> Any:
        try:
            return read(self._row[column])
        except ValueError as error:
            raise self._unreadable(column, str(error)) from error

    def _unreadable(self, column: str, needed: str) -> UnreadableData:
        value, row = self._row[column], self._row.get(self._key)
        shown = "empty (NULL)" if value is None else repr(value)
        shown = "something else" if column in self._private and value is not None else shown
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return UnreadableData(
            f"The application's database holds a value that cannot be read: table {self._table}, row {row} "
            f"({self._key}), column {column}",
            f"It is {shown}, and {needed}",
            "Correct it there, and ask again",
        )
