"""A table's rows, read once, written as often as wanted: CSV and XLSX that hold the same figures as the PDF."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

import xlsxwriter

from steward.errors import TaskError
from steward.values import Column, ColumnKind, Table

_IN_MEMORY: Final = 1 << 20  # bytes of rows before they go to disk
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_XLSX_DIGITS: Final = 15  # IEEE 754 doubles, which is what a cell holds, are exact to 15 decimal digits
_XLSX_ROWS: Final = 1_048_576
_XLSX_TEXT: Final = 32_767  # characters in a cell (Excel's specifications and limits)
_FORMATS: Final[dict[ColumnKind, str]] = {
    "integer": "#,##0",
    "decimal": "#,##0.00####",
    "money": "$#,##0.00;[Red]-$#,##0.00",
    "percent": "0.0 %",
    "date": "yyyy-mm-dd",
}


class Spool:
    """Rows on disk (in memory while they are few) that can be read again and again, one at a time."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self._count = file, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sequence[Any]]:
        position = 0
        for _ in range(self._count):
            if self._file.tell() != position:  # the first row, or another reads in turn with us
                self._file.seek(position)
            row = pickle.load(self._file)  # noqa: S301  # written below, in an unnamed file
            position = self._file.tell()
            yield row


@contextlib.contextmanager
def spool(table: Table, folder: Path) -> Iterator[Table]:
    """Give the table with rows that can be read many times; the handler's own are read once, here.

    The copy lies in an unnamed file in `folder`, and goes with the end of the context. Memory stays flat.

    Raises:
        TaskError: a row has more or fewer cells than there are columns.
    """
    width, count = len(table.columns), 0
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder)) as file:
        for count, row in enumerate(table.rows, 1):
            if len(row) != width:
                raise TaskError(
                    f"The table '{table.name}' cannot be written",
                    f"Its row {count} has {len(row)} cells, and there are {width} columns",
                    "Mend the handler that made it",
                )
            pickle.dump(tuple(row), file, protocol=pickle.HIGHEST_PROTOCOL)
        yield dataclasses.replace(table, rows=Spool(file, count))


def write_csv(table: Table, path: Path) -> int:
    """Write the table as CSV (RFC 4180: commas, CRLF, doubled quotes) and return the number of rows, heading aside.

    UTF-8 with a byte order mark, without which Excel reads it as Windows-1252. Figures are plain and exact: 1234.50,
    0.253 for a per cent, 2026-03-03. Text that a spreadsheet would calculate gets an apostrophe before it (OWASP, CSV
    Injection); figures never do, so that -5.00 stays a number.
    """
    kinds = [column.kind for column in table.columns]
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        write = csv.writer(file, lineterminator="\r\n").writerow
        write([_harmless(column.title) for column in table.columns])
        for row in table.rows:
            write(list(map(_plain, row, kinds)))
            count += 1
        if table.total is not None:
            write(list(map(_plain, table.total, kinds)))
    return count


def write_xlsx(tables: Sequence[Table], path: Path) -> int:
    """Write one Excel workbook with a sheet for each table, and return the number of rows, headings aside.

    Figures and dates are real ones with a format, text is never a formula or a link, the heading stays in view.
    A decimal that a cell cannot hold exactly (over 15 digits) is written as text. The same rows give the same bytes.

    Raises:
        TaskError: a table has more rows than a sheet can hold.
    """
    workbook = xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": str(path.parent),
        },
    )
    title = next((table.title or table.name for table in tables), "Tables")
    workbook.set_properties({"title": title, "created": datetime(1980, 1, 1)})
    names: list[str] = []
    try:
        for table in tables:
            names.append(_free_name(table.title or table.name, names))
        return sum(_write_sheet(workbook, table, name) for table, name in zip(tables, names, strict=True))
    finally:
        workbook.close()


def _write_sheet(workbook: Any, table: Table, name: str) -> int:
    sheet = workbook.add_worksheet(name)
    bold = {"bold": True, "top": 1}
    heading = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    formats = [_format(workbook, column) for column in table.columns]
    totals = [_format(workbook, column, **bold) for column in table.columns]
    for n, column in enumerate(table.columns):
        sheet.set_column(n, n, 24 if column.kind == "text" else 14)
        sheet.write_string(0, n, column.title, heading)
    sheet.freeze_panes(1, 0)
    count = 0
    for count, row in enumerate(table.rows, 1):
        if count >= _XLSX_ROWS - 1:
            raise TaskError(
                f"The table '{table.name}' cannot be written as XLSX",
                f"A sheet holds {_XLSX_ROWS:,} rows",
                "Ask for CSV, or for a shorter period",
            )
        for n, value in enumerate(row):
            _cell(sheet, count, n, value, formats[n])
    for n, value in enumerate(table.total or ()):
        _cell(sheet, count + 1, n, value, totals[n])
    if count and table.columns:
        sheet.autofilter(0, 0, count, len(table.columns) - 1)
    return count


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _plain(value: Any, kind: ColumnKind) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return f"{value:.2f}" if kind == "money" and isinstance(exponent, int) and exponent > -2 else f"{value:f}"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return _harmless(str(value).replace("\x00", ""))


def _format(workbook: Any, column: Column, **more: Any) -> Any:
    number_format = _FORMATS.get(column.kind)
    return workbook.add_format({"num_format": number_format, **more} if number_format else {"text_wrap": True, **more})


def _cell(sheet: Any, row: int, column: int, value: Any, number_format: Any) -> None:
    if value is None:
        sheet.write_blank(row, column, None, number_format)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, number_format)
    elif isinstance(value, (int, float, Decimal)) and _fits(value):
        sheet.write_number(row, column, value, number_format)
    elif isinstance(value, date) and value.year < 1900:  # before the first day that a cell can hold
        sheet.write_string(row, column, value.isoformat(), number_format)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.replace(tzinfo=None), number_format)
    elif isinstance(value, date):
        sheet.write_datetime(row, column, value, number_format)
    else:
        sheet.write_string(row, column, _plain_text(value), number_format)


def _plain_text(value: Any) -> str:
    return (f"{value:f}" if isinstance(value, Decimal) else str(value))[:_XLSX_TEXT]


def _fits(value: float | Decimal) -> bool:
    number = Decimal(str(value))
    return number.is_finite() and len(number.normalize().as_tuple().digits) <= _XLSX_DIGITS


def _free_name(text: str, taken: Sequence[str]) -> str:
    """Return a name for a sheet that no other of the workbook has; Excel does not tell capitals from small letters."""
    name, number = _sheet_name(text), 1
    while name.lower() in (other.lower() for other in taken):
        number += 1
        name = f"{_sheet_name(text)[: 30 - len(str(number))]} {number}"
    return name


def _sheet_name(text: str) -> str:
    name = "".join("-" if c in "[]:*?/\\" else c for c in text).strip("' ")[:31].strip("' ") or "Table"
    return f"{name}-" if name.lower() == "history" else name  # Excel keeps that name for itself
