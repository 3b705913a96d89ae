"""A table's rows, read once, written as often as wanted: CSV and XLSX that hold the same figures as the PDF."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

import xlsxwriter

from steward.documents.tables.cells import clean, fits, held, is_text, number_format, plain, shown, shows_nothing
from steward.errors import TaskError
from steward.model.content import ColumnKind, Table

_IN_MEMORY: Final = 1 << 20  # bytes of rows before they go to disk
_XLSX_ROWS: Final = 1_048_576
_XLSX_TEXT: Final = 32_767  # UTF-16 code units in a cell (Excel's specifications and limits)
_BLANK: Final = r"[\s'\"]*"
_STARTS: Final = "[=+\\-@\t\r\n＝＋－＠]"
_AT_START: Final = re.compile(rf"^(?=\s*{_STARTS})")
_NUMBER: Final = r"[+-]\d[\d.,\u00a0 ]*%?\s*(?:$|[;\t\r\n])"
_BEHIND: Final = re.compile(rf"(?<=[;\t\r\n])({_BLANK})(?=[=+\-@＝＋－＠])(?!{_NUMBER})")
_QUOTE, _TWO = '"', '""'
_QUOTED: Final = re.compile(r'[",;\t\r\n]')
"""What may part cells: RFC 4180's own, and what a spreadsheet may be set to instead."""


class RowSpool:
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
        yield dataclasses.replace(table, rows=RowSpool(file, count))


def write_csv(table: Table, path: Path) -> int:
    """Write the table as CSV (RFC 4180: commas, CRLF, doubled quotes) and return the number of rows, heading aside.

    UTF-8 with a byte order mark, without which Excel reads it as Windows-1252. Figures are plain and exact: 1234.50,
    0.253 for a per cent, 2026-03-03. Text that a spreadsheet would calculate gets an apostrophe before it (OWASP, CSV
    Injection), also behind a semicolon, a tab or a line end within, where cells may be parted elsewhere; figures never
    do, so that -5.00 stays a number.
    """
    kinds = [column.kind for column in table.columns]
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        file.write(_line(_harmless(clean(column.title)) for column in table.columns))
        for row in table.rows:
            file.write(_line(map(_field, row, kinds)))
            count += 1
        if table.total is not None:
            file.write(_line(map(_field, table.total, kinds)))
    return count


def write_xlsx(tables: Sequence[Table], path: Path) -> int:
    """Write one Excel workbook with a sheet for each table, and return the number of rows, headings aside.

    Figures and dates are real ones with a format that shows what the PDF shows; text is never a formula or a link, the
    heading stays in view. A decimal that a cell cannot hold exactly (over 15 digits) is written as text, and text that
    is too long for a cell ends with a mark. The same rows give the same bytes.

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
    workbook.set_properties({"title": clean(title), "created": datetime(1980, 1, 1)})
    names: list[str] = []
    try:
        for table in tables:
            names.append(_free_name(table.title or table.name, names))
        return sum(_write_sheet(workbook, table, name) for table, name in zip(tables, names, strict=True))
    finally:
        workbook.close()


def _write_sheet(workbook: Any, table: Table, name: str) -> int:
    sheet = workbook.add_worksheet(name)
    heading = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})

    @functools.cache
    def style(number_format: str, bold: bool) -> Any:
        kind = {"num_format": number_format} if number_format else {"text_wrap": True}
        return workbook.add_format(kind | ({"bold": True, "top": 1} if bold else {}))

    kinds = [column.kind for column in table.columns]
    for n, column in enumerate(table.columns):
        sheet.set_column(n, n, 24 if column.kind == "text" else 14)
        sheet.write_string(0, n, _cell_text(column.title), heading)
    sheet.freeze_panes(1, 0)
    count = 0
    for count, row in enumerate(table.rows, 1):
        if count >= _XLSX_ROWS - 1:
            raise TaskError(
                f"The table '{table.name}' cannot be written as XLSX",
                f"A sheet holds {_XLSX_ROWS:,} rows",
                "Ask for CSV, or for a shorter period",
            )
        for n, (value, kind) in enumerate(zip(row, kinds, strict=True)):
            _cell(sheet, count, n, value, kind, lambda number_format: style(number_format, False))
    for n, (value, kind) in enumerate(zip(table.total or (), kinds, strict=False)):
        _cell(sheet, count + 1, n, value, kind, lambda number_format: style(number_format, True))
    if count and table.columns:
        sheet.autofilter(0, 0, count, len(table.columns) - 1)
    if table.columns:
        sheet.ignore_errors({"number_stored_as_text": f"A1:{_corner(count + 2, len(table.columns))}"})
    return count


def _line(fields: Iterator[str] | Any) -> str:
    line = ",".join([f'"{text.replace(_QUOTE, _TWO)}"' if _QUOTED.search(text) else text for text in fields])
    return f"{line or _TWO}\r\n"  # a line with nothing on it would be no row


def _field(value: Any, kind: ColumnKind) -> str:
    return _harmless(plain(value, kind)) if is_text(value) else plain(value, kind)


def _harmless(text: str) -> str:
    return _BEHIND.sub(r"\1'", _AT_START.sub("'", text))


def _cell(sheet: Any, row: int, column: int, value: Any, kind: ColumnKind, style: Callable[[str], Any]) -> None:
    kept = held(value, kind)
    if kept is None:
        sheet.write_blank(row, column, None, style(number_format(value, kind)))
    elif isinstance(kept, Decimal) and fits(kept):
        # What is shown as nothing must not be shown with a sign.
        sheet.write_number(
            row, column, 0 if kept < 0 and shows_nothing(kept, kind) else kept, style(number_format(kept, kind))
        )
    elif isinstance(kept, date) and kept.year >= 1900:  # the first day that a cell can hold
        moment = kept.replace(tzinfo=None, microsecond=0) if isinstance(kept, datetime) else kept
        sheet.write_datetime(row, column, moment, style(number_format(value, kind)))
    else:
        words = shown(value, kind) if isinstance(kept, date) else plain(value, kind)
        sheet.write_string(row, column, _cell_text(words), style(""))


def _cell_text(text: str) -> str:
    """Return the text as a cell can hold it: whole, or cut with a mark that says so."""
    text = clean(text).replace("\r\n", "\n").replace("\r", "\n")
    wide = text.encode("utf-16-le")
    if len(wide) // 2 <= _XLSX_TEXT:
        return text
    mark = f" … [cut: a cell holds {_XLSX_TEXT:,} characters, this text has {len(text):,}; the CSV file has them all]"
    return wide[: 2 * (_XLSX_TEXT - len(mark))].decode("utf-16-le", "ignore") + mark


def _corner(row: int, column: int) -> str:
    return str(xlsxwriter.utility.xl_rowcol_to_cell(row - 1, column - 1))


def _free_name(text: str, taken: Sequence[str]) -> str:
    """Return a name for a sheet that no other of the workbook has; Excel does not tell capitals from small letters."""
    name, number = _sheet_name(text), 1
    while name.lower() in (other.lower() for other in taken):
        number += 1
        name = f"{_sheet_name(text)[: 30 - len(str(number))]} {number}"
    return name


def _sheet_name(text: str) -> str:
    name = "".join("-" if c in "[]:*?/\\\n\r\t" else c for c in clean(text)).strip("' ")[:31].strip("' ") or "Table"
    return f"{name}-" if name.lower() == "history" else name  # Excel keeps that name for itself
