"""What one cell of a table says: one value, rounded once where it is shown, the same in the PDF, the CSV and the XLSX.

A value is a figure, a day, a moment, yes or no, or text, by what it is; the column's kind says how it is shown. `shown`
is what a reader sees, in the PDF and in a spreadsheet's cell; `held` is the value in a spreadsheet, from which a cell
with `number_format` shows the same. `plain` is `held` as the text of a CSV file.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from steward.model.content import ColumnKind
from steward.model.formats import (
    DOUBLE_DIGITS,
    EXACT,
    NONE,
    cut,
    figure,
    money,
    number,
    odd,
    percent,
    places_of_share,
    rounded,
)

PLACES: Final[dict[str, int]] = {"integer": 0, "decimal": 2, "money": 2, "percent": 3}
"""Kinds of columns that hold figures, and to how many places those are rounded; a per cent is a share of one."""
NUMBER_FORMATS: Final[dict[str, str]] = {
    "integer": "#,##0",
    "decimal": "#,##0.00",
    "money": "$#,##0.00;[Red]-$#,##0.00",
}
DAY: Final = "yyyy-mm-dd"
MOMENT: Final = "yyyy-mm-dd hh:mm"
LARGEST_EXPONENT: Final = 300
"""Powers of ten, up and down, within which every figure of 15 digits is a double."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIRTY: Final = re.compile(f"{_CONTROL.pattern}|{_SURROGATE.pattern}|[\x85\u2028\u2029]")


def clean(text: str) -> str:
    """Return text without what no document can show: control characters are dropped, other line ends become `\\n`.

    A tab, a line feed and a carriage return stay. Half of a surrogate pair, which is no character, becomes U+FFFD.
    """
    if not _DIRTY.search(text):
        return text
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    return text.replace("\x85", "\n").replace("\u2028", "\n").replace("\u2029", "\n")


def shown(value: Any, kind: ColumnKind) -> str:
    """Return what a reader sees of the value: `$1,234.50`, `25.3 %`, `2026-03-03`, `yes`; None is a dash."""
    if value is None:
        return NONE
    if kind in PLACES and figure(value) is not None:
        if kind == "money":
            return money(value)
        return percent(value) if kind == "percent" else number(value, PLACES[kind])
    if kind in ("date", "datetime") and isinstance(value, date):
        return value.isoformat(" ")[:16] if isinstance(value, datetime) and kind == "datetime" else str(value)[:10]
    return text(value, kind)


def held(value: Any, kind: ColumnKind) -> Decimal | date | str | None:
    """Return the value as a spreadsheet holds it: a figure, a date or datetime, text, or None.

    A figure has as many digits as a cell can keep, the rest is cut: 2 / 3 is 0.666666666666666. One of thirteen digits
    before the point or more is whole, and `fits` says that no cell can hold it.
    """
    if value is None:
        return None
    if kind in PLACES and (exact := figure(value)) is not None:
        if exact.adjusted() < -LARGEST_EXPONENT:
            return Decimal(0)
        return exact if exact.adjusted() > 11 else cut(exact)
    if kind in ("date", "datetime") and isinstance(value, date):
        return value
    return text(value, kind)


def fits(value: Decimal) -> bool:
    """Return whether a spreadsheet's cell holds the figure to its last digit."""
    return len(value.normalize(EXACT).as_tuple().digits) <= DOUBLE_DIGITS and value.adjusted() < LARGEST_EXPONENT


def plain(value: Any, kind: ColumnKind) -> str:
    """Return the value as text without decoration: `1234.50`, `0.253` for a per cent, `2026-03-03`, `yes`."""
    kept = held(value, kind)
    if kept is None:
        return ""
    if isinstance(kept, Decimal):
        exponent = kept.as_tuple().exponent
        return f"{kept:.2f}" if kind == "money" and isinstance(exponent, int) and exponent > -2 else f"{kept:f}"
    return kept.isoformat() if isinstance(kept, date) else kept


def text(value: Any, kind: ColumnKind = "text") -> str:
    """Return any value as text: yes or no, a date or moment in ISO 8601, a number with all its digits and no others."""
    if isinstance(value, bool) or (kind == "boolean" and value in (0, 1)):
        return "yes" if value else "no"
    if isinstance(value, (int, float, Decimal)):
        exact = figure(value)
        return odd(value) if exact is None else f"{exact:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return clean(str(value))


def is_text(value: Any) -> bool:
    """Return whether the value is of no kind that a writer words itself: somebody may have typed it."""
    return not isinstance(value, (int, float, Decimal, date)) and value is not None


def number_format(value: Any, kind: ColumnKind) -> str:
    """Return the format with which a spreadsheet shows a figure or a date as `shown` does; nothing for text."""
    if isinstance(value, date):
        return MOMENT if isinstance(value, datetime) and kind == "datetime" else DAY
    if kind == "percent":
        exact = figure(value)
        return f"0.{'0' * (1 if exact is None else places_of_share(exact))} %"
    return NUMBER_FORMATS.get(kind, "")


def shows_nothing(value: Decimal, kind: ColumnKind) -> bool:
    """Return whether the figure is rounded to zero where it is shown."""
    return not rounded(value, places_of_share(value) + 2 if kind == "percent" else PLACES[kind])
