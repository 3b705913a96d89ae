"""One value, rounded once where it is shown: the page, the CSV and the XLSX say the same of every kind and value."""

from __future__ import annotations

import csv
import decimal
import html
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from steward.documents.tables.cells import clean, number_format, plain, shown
from steward.documents.tables.spreadsheets import write_csv, write_xlsx
from steward.documents.templates import Templates
from steward.installation.settings import shipped
from steward.model.content import Column, ColumnKind, Table
from steward.model.formats import money, number, percent

KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
NAMESPACE = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
TEMPLATES = Templates([shipped("templates")])
EXACT = decimal.Context(prec=2000, rounding=ROUND_HALF_UP)


class Colour(Enum):
    RED = "red"


FIGURES = st.one_of(
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    st.fractions(0, 1).map(lambda f: Decimal(f.numerator) / f.denominator),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [
            *(Decimal("-0.00"), -0.0, Decimal("-0.004"), Decimal("0.005"), 1.005, 2.675, 0.1 + 0.2),
            *(Decimal(4) / 19, Decimal("0.9996"), Decimal("0.0895"), Decimal("0.089482"), Decimal("0.0625")),
            *(1 - Decimal(1).scaleb(-20), Decimal("1E+350"), 10**500, Decimal("1E+999999"), Decimal("1E-999999")),
            *(Decimal("Infinity"), Decimal("NaN"), float("-inf")),
        ]
    ),
)
VALUES = st.one_of(
    FIGURES,
    st.none(),
    st.booleans(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.text(max_size=30),
    st.sampled_from(
        ["not shown", "=1+1", "a;=1+1", "two\nlines", "\x07\x00bell\x85next", "\ud800", "x" * 33_000, Colour.RED]
    ),
)


def page(table: Table) -> list[list[str]]:
    """Return the cells as the report's own template draws them."""
    source = '{% from "layouts/tables.html.j2" import table %}{{ table(given) }}'
    drawn = TEMPLATES._environment.from_string(source).render(given=table)
    parts = [
        [
            [html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
            for row in re.findall(r"<tr[^>]*>(.*?)</tr>", part, re.DOTALL)
        ]
        for part in drawn.split("</table>")[:-1]
    ]
    # What is too wide stands in parts, with the first column in each.
    return [first + [cell for more in others for cell in more[1:]] for first, *others in zip(*parts, strict=True)]


def sheet(path: Path) -> list[list[str]]:
    """Return the cells as Excel shows them: the number in its format, rounded half up from 15 digits."""
    with zipfile.ZipFile(path) as parts:
        root = ElementTree.fromstring(parts.read("xl/worksheets/sheet1.xml"))
        styles = ElementTree.fromstring(parts.read("xl/styles.xml"))
    formats = {f.get("numFmtId"): f.get("formatCode") for f in styles.findall(".//s:numFmt", NAMESPACE)}
    built_in = {"0": "", "3": "#,##0", "4": "#,##0.00"}
    used = [f.get("numFmtId") for f in styles.findall(".//s:cellXfs/s:xf", NAMESPACE)]
    rows = []
    for row in root.findall(".//s:row", NAMESPACE):
        cells = []
        for cell in row.findall("s:c", NAMESPACE):
            code = {**built_in, **formats}[used[int(cell.get("s", "0"))]]
            if cell.get("t") == "inlineStr":
                text = "".join(cell.itertext())
                cells.append(re.sub("_x([0-9A-F]{4})_", lambda m: chr(int(m[1], 16)), text))
            elif (kept := cell.findtext("s:v", None, NAMESPACE)) is None:
                cells.append("")
            else:
                cells.append(displayed(kept, code or ""))
        rows.append(cells)
    return rows


def displayed(kept: str, code: str) -> str:
    if code.startswith("yyyy"):
        at = datetime(1899, 12, 30) + timedelta(days=float(kept) if float(kept) > 60 else float(kept) + 1)
        at += timedelta(milliseconds=1)
        return f"{at:%Y-%m-%d}".rjust(10, "0") + (f" {at:%H:%M}" if "hh" in code else "")
    value = EXACT.create_decimal(f"{float(kept):.15g}")
    section = code.partition(";")[0]
    places = len(section.partition(".")[2].rstrip(" %"))
    if section.endswith("%"):
        value = EXACT.multiply(value, Decimal(100))
    near = value.quantize(Decimal((0, (1,), -places)), context=EXACT)
    sign = "-" if value < 0 else ""  # as Excel does: by the value, not by what is left of it
    return f"{sign}{'$' if '$' in section else ''}{near.copy_abs():,f}{' %' if section.endswith('%') else ''}"


def test_the_three_writers_say_the_same(tmp_path: Path) -> None:
    folder = tmp_path

    @settings(max_examples=120, deadline=None, phases=[Phase.explicit, Phase.generate])
    @given(
        st.lists(st.tuples(*[VALUES] * len(KINDS)), min_size=1, max_size=6),
        st.sampled_from([decimal.Context(prec=3), decimal.Context(prec=28), decimal.Context(rounding="ROUND_FLOOR")]),
    )
    def same(rows: list[tuple[Any, ...]], context: decimal.Context) -> None:
        columns = [Column(kind, kind, kind) for kind in KINDS]
        table = Table("t", columns, rows, total=rows[0])
        with decimal.localcontext(context):
            seen = page(table)
            write_xlsx([table], folder / "t.xlsx")
            write_csv(table, folder / "t.csv")
        with (folder / "t.csv").open(encoding="utf-8-sig", newline="") as file:
            written = list(csv.reader(file, strict=True))
        excel = sheet(folder / "t.xlsx")
        values = [*rows, rows[0]]
        assert len(seen) == len(written) == len(excel) == len(rows) + 2
        for line, (row, on_page, in_csv, in_excel) in enumerate(
            zip(values, seen[1:], written[1:], excel[1:], strict=True)
        ):
            for kind, value, first, second, third in zip(KINDS, row, on_page, in_csv, in_excel, strict=True):
                agree(kind, value, first, second, third, is_total=line == len(rows))

    same()


def agree(kind: ColumnKind, value: Any, on_page: str, in_csv: str, in_excel: str, *, is_total: bool) -> None:
    told = (kind, value, on_page, in_csv, in_excel)
    if value is None:
        assert (on_page, in_csv, in_excel) == ("" if is_total else "–", "", ""), told
        return
    # Typed text is guarded in a CSV, and marked where it is too long for a cell.
    unguarded = re.sub(r"'(?=\s*[=+\-@＝＋－＠\t\r\n])", "", in_csv)
    if isinstance(value, (str, Enum)):
        assert unguarded == re.sub(r"'(?=\s*[=+\-@＝＋－＠\t\r\n])", "", on_page), told
        assert in_excel == re.sub("\r\n?", "\n", on_page) or in_excel.endswith("the CSV file has them all]"), told
        return
    is_number = not isinstance(value, (bool, date)) and kind in ("integer", "decimal", "money", "percent")
    if is_number and re.fullmatch(r"-?\d[\d.]*", in_csv):
        again = Decimal(in_csv)
        assert shown(again, kind) == on_page, told
        excel = in_excel.replace("-$", "−$")
        assert excel in (on_page, in_csv), told  # as text, with all its digits, what no cell can hold
        assert not re.fullmatch(r"[-−]\$?[0.,]+( %)?", on_page), told
        assert len(in_csv.replace(".", "").lstrip("-0")) <= 15 or abs(again) >= 10**12 or "0" not in in_csv[:1], told
    elif isinstance(value, datetime) and kind in ("date", "datetime"):
        assert on_page == in_excel == in_csv.replace("T", " ")[: 16 if kind == "datetime" else 10], told
    else:
        assert on_page == in_csv == in_excel, told


@pytest.mark.parametrize(
    ("value", "kind", "said", "in_csv"),
    [
        (Decimal("0.089482"), "percent", "8.9 %", "0.089482"),
        (Decimal(4) / 19, "percent", "21.1 %", "0.210526315789473"),
        (Decimal("0.0625"), "percent", "6.3 %", "0.0625"),
        (Decimal("0.5860808457711442786069651741"), "percent", "58.6 %", "0.586080845771144"),
        (Decimal(99_960) / 100_000, "percent", "99.96 %", "0.9996"),
        (Decimal("1.0004"), "percent", "100.04 %", "1.0004"),
        (Decimal("0.0004"), "percent", "0.04 %", "0.0004"),
        (Decimal(1), "percent", "100.0 %", "1"),
        (0.1 + 0.2, "percent", "30.0 %", "0.3"),
        (Decimal("-0.00"), "money", "$0.00", "0.00"),
        (Decimal("-0.004"), "money", "$0.00", "-0.004"),
        (Decimal("-1234.5"), "money", "−$1,234.50", "-1234.50"),
        (2.675, "money", "$2.68", "2.675"),
        (Decimal("2.5"), "integer", "3", "2.5"),
        (True, "money", "yes", "yes"),
        (False, "text", "no", "no"),
        (1, "boolean", "yes", "yes"),
        (date(2026, 3, 3), "text", "2026-03-03", "2026-03-03"),
        (datetime(2026, 3, 3, 4, 5, tzinfo=UTC), "datetime", "2026-03-03 04:05", "2026-03-03T04:05:00+00:00"),
        (Decimal("1E+3"), "text", "1000", "1000"),
        ("a\x00b\x07\x85c", "text", "ab\nc", "ab\nc"),
        (Decimal("1E+999999"), "money", "1E+999999", "1E+999999"),
    ],
)
def test_a_value_is_rounded_once_half_up(value: Any, kind: ColumnKind, said: str, in_csv: str) -> None:
    with decimal.localcontext(prec=4, rounding="ROUND_FLOOR"):
        assert (shown(value, kind), plain(value, kind)) == (said, in_csv)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_share_is_never_said_to_be_nothing_or_all_unless_it_is(part: int, more: int) -> None:
    whole = part + more
    said = percent(Decimal(part) / whole)
    assert said not in ("0.0 %", "100.0 %")
    assert 0 < Decimal(said[:-2]) < 100
    assert abs(Decimal(said[:-2]) - Decimal(100 * part) / whole) <= Decimal("0.05")
    assert number_format(Decimal(part) / whole, "percent") == f"0.{'0' * len(said[:-2].partition('.')[2])} %"


@given(st.text(st.characters()), st.sampled_from(["money", "integer"]))
def test_text_is_kept_but_for_what_no_document_can_show(text: str, kind: ColumnKind) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert cleaned == shown(text, kind) == clean(cleaned)
    kept = [c for c in text if c.isprintable()]
    assert [c for c in cleaned if c.isprintable() and c != "\ufffd"] == [c for c in kept if c != "\ufffd"]
    assert not re.search("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", cleaned)


def test_figures_in_sentences_are_rounded_as_in_tables() -> None:
    assert (money(Decimal("-0.001")), number(Decimal("2.5")), number(-0.2), percent(None)) == ("$0.00", "3", "0", "–")
    assert (number(2.675, 2), number(-1234, 0), money(10**15)) == ("2.68", "-1,234", "$1,000,000,000,000,000.00")
