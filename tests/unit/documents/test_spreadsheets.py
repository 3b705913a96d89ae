"""CSV and XLSX: the same figures to the cent, text that stays text, memory that stays flat."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from steward.documents.tables.spreadsheets import spool, write_csv, write_xlsx
from steward.errors import TaskError
from steward.model.content import Column, Table

COLUMNS = (
    Column("item", "Item"),
    Column("count", "Count", "integer"),
    Column("price", "Price", "money"),
    Column("share", "Share", "percent"),
    Column("bought", "Bought", "date"),
)
ROWS = [
    ("Drill, 18 V", 3, Decimal("1234.5"), Decimal("0.253"), date(2026, 3, 3)),
    ('Say "hi"\nthen leave', 0, Decimal("-0.10"), None, datetime(2026, 3, 3, 4, 5, tzinfo=UTC)),
    ("Łódź 名", -7, Decimal("12345678901234.56"), Decimal("1"), None),
]
TOTAL = ("Total", -4, Decimal("12345678902468.96"), None, None)
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x")', "-5 apples"]
LINKS = ["http://example.org/", "mailto:a@example.org", "internal:Sheet1!A1", "file:///etc/passwd", "{=1}"]
NAMESPACE = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def table(rows: Any = ROWS, columns: Any = COLUMNS, **more: Any) -> Table:
    return Table("expenses", columns, rows, **more)


def texts(rows: list[str]) -> Table:
    return table([(row,) for row in rows], (Column("text", "Text"),))


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


def read_xlsx(path: Path) -> list[list[tuple[str, str]]]:
    """Return each row's cells as (type, text), read from the XML itself."""
    with zipfile.ZipFile(path) as parts:
        sheet = ElementTree.fromstring(parts.read("xl/worksheets/sheet1.xml"))
        assert "<f>" not in parts.read("xl/worksheets/sheet1.xml").decode()
        assert not [name for name in parts.namelist() if "rels/sheet" in name]  # no links
    return [
        [
            (
                cell.get("t", "n"),
                "".join(cell.itertext()) if cell.get("t") == "inlineStr" else cell.findtext("s:v", "", NAMESPACE),
            )
            for cell in row.findall("s:c", NAMESPACE)
        ]
        for row in sheet.findall(".//s:row", NAMESPACE)
    ]


def test_csv_is_what_spreadsheets_and_programs_expect(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert write_csv(table(total=TOTAL), path) == 3
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfItem,Count,Price,Share,Bought\r\n")
    assert read_csv(path)[1:] == [
        ["Drill, 18 V", "3", "1234.50", "0.253", "2026-03-03"],
        ['Say "hi"\nthen leave', "0", "-0.10", "", "2026-03-03T04:05:00+00:00"],
        ["Łódź 名", "-7", "12345678901234.56", "1", ""],
        ["Total", "-4", "12345678902468.96", "", ""],
    ]


def test_csv_text_is_never_calculated(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(texts(FORMULAS), path)
    # A tab or a line end parts cells where a spreadsheet is told so: what follows is defused as well.
    assert [row for (row,) in read_csv(path)[1:]] == ["'" + re.sub(r"([\t\r\n])", r"\1'", text) for text in FORMULAS]
    harmless = ["a=1", "1-2", "x@example.org", " plain", "10;-5", "low; -5.25 %\nhigh; +1 000,00", "a;b", "say; so -"]
    write_csv(texts(harmless), path)
    assert [row for (row,) in read_csv(path)[1:]] == harmless


SEPARATORS = [",", ";", "\t", "\n", "\r\n", "\r"]


@pytest.mark.parametrize("start", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "＝1", ' "=1+1', "'=1", "-HYPERLINK(1)", "=-5"])
@pytest.mark.parametrize("parted", SEPARATORS)
def test_csv_text_is_never_calculated_wherever_a_spreadsheet_parts_cells(
    tmp_path: Path, parted: str, start: str
) -> None:
    path = tmp_path / "a.csv"
    text = f"a{parted}{start}{parted}z"
    columns = (Column("a", text), Column("b", text, "money"), Column("c", text, "date"))
    write_csv(table([(text, text, text)], columns, total=(text, None, text)), path)
    written = path.read_text(encoding="utf-8-sig")
    for separator in SEPARATORS:  # as a spreadsheet reads it that knows this separator, and no quotes but at the start
        cells = [c for line in re.split(r"[\r\n]+", written) for c in line.split(separator)]
        inside = [cell for cell in cells if cell.lstrip(' "')[:1] in tuple("=+-@＝＋－＠") and cell.strip(' "')]
        # Between commas a cell is quoted as a whole, which every reader of commas heeds.
        assert not inside or parted == separator == ",", (separator, inside)
    assert [len(row) for row in read_csv(path)] == [3, 3, 3]


def test_csv_figures_keep_their_sign(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    kinds = ("text", "integer", "decimal", "money", "percent")
    columns = tuple(Column(kind, kind, kind) for kind in kinds)  # type: ignore[arg-type]
    write_csv(table([(-5, -5, Decimal("-0.5"), Decimal(-5), -0.05)], columns, total=(-1.5, 0, 0, 0, 0)), path)
    assert read_csv(path)[1:] == [["-5", "-5", "-0.5", "-5.00", "-0.05"], ["-1.5", "0", "0", "0.00", "0"]]


@pytest.mark.parametrize("amount", ["0.1", "0.001", "1E+3", "1e-7", "99999999999999999999.99", "-0.005"])
def test_csv_figures_are_exact_and_never_in_powers_of_ten(tmp_path: Path, amount: str) -> None:
    path = tmp_path / "a.csv"
    write_csv(table([(Decimal(amount),)], (Column("a", "A", "money"),)), path)
    written = read_csv(path)[1][0]
    assert Decimal(written) == Decimal(amount)
    assert "e" not in written.lower()


def test_xlsx_holds_numbers_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    assert write_xlsx([table(total=TOTAL)], path) == 3
    rows = read_xlsx(path)
    assert [text for _, text in rows[0]] == [column.title for column in COLUMNS]
    assert rows[1] == [("inlineStr", "Drill, 18 V"), ("n", "3"), ("n", "1234.5"), ("n", "0.253"), ("n", "46084")]
    # 16 digits: a cell would round the cents, so they are kept as text
    assert rows[3][:3] == [("inlineStr", "Łódź 名"), ("n", "-7"), ("inlineStr", "12345678901234.56")]
    assert rows[4][0] == ("inlineStr", "Total")
    with zipfile.ZipFile(path) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    assert 'state="frozen"' in sheet and 'ySplit="1"' in sheet
    assert "$#,##0.00" in styles and "yyyy-mm-dd" in styles


def test_xlsx_text_is_never_a_formula_or_a_link(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_xlsx([texts(FORMULAS + LINKS)], path)
    kinds = {kind for row in read_xlsx(path)[1:] for kind, _ in row}
    assert kinds == {"inlineStr"}
    assert [text for ((_, text),) in read_xlsx(path)[1:]][-5:] == LINKS


def test_odd_values_do_not_break_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    values = [float("nan"), Decimal("Infinity"), date(1850, 1, 1), "x" * 40_000, "\0\x01", True, 2**70]
    column = (Column("a", "A"),)
    assert write_xlsx([table([(value,) for value in values], column, title="History")], path) == len(values)
    rows = read_xlsx(path)
    assert rows[1] == [("inlineStr", "nan")] and rows[3] == [("inlineStr", "1850-01-01")]
    assert len(rows[4][0][1]) == 32_767
    assert rows[7] == [("inlineStr", str(2**70))]
    assert write_csv(table([(value,) for value in values], column), tmp_path / "a.csv") == len(values)


@pytest.mark.parametrize("text", ["x" * 32_768, "é" * 51_000, "🦫" * 20_000, "a\n" * 30_000])
def test_a_text_too_long_for_a_cell_ends_with_a_mark(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xlsx"
    write_xlsx([table([(text,)], (Column("a", text),))], path)
    for ((_, written),) in read_xlsx(path):
        whole, _, mark = written.rpartition(" … ")
        assert text.startswith(whole) and len(whole) > 15_000
        assert mark == f"[cut: a cell holds 32,767 characters, this text has {len(text):,}; the CSV file has them all]"
        assert 32_765 <= len(written.encode("utf-16-le")) // 2 <= 32_767  # Excel counts UTF-16 code units
    write_csv(texts([text]), tmp_path / "a.csv")
    assert read_csv(tmp_path / "a.csv")[1] == [text]


def test_a_text_that_just_fits_is_whole(tmp_path: Path) -> None:
    write_xlsx([texts(["x" * 32_767])], tmp_path / "a.xlsx")
    assert read_xlsx(tmp_path / "a.xlsx")[1] == [("inlineStr", "x" * 32_767)]


def test_tables_that_belong_together_are_sheets_of_one_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    long = "Spending by category and by month"  # two characters more than a sheet's name may have
    tables = [table(title=long), table([], title=long.upper()), table(title="Ledger")]
    assert write_xlsx(tables, path) == 6
    with zipfile.ZipFile(path) as parts:
        names = re.findall(r'<sheet name="([^"]+)"', parts.read("xl/workbook.xml").decode())
    assert names == [long[:31], f"{long.upper()[:29]} 2", "Ledger"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_xlsx([table()], tmp_path / f"{name}.xlsx")
        write_csv(table(), tmp_path / f"{name}.csv")
    assert (tmp_path / "1.xlsx").read_bytes() == (tmp_path / "2.xlsx").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_a_table_without_rows_is_a_heading(tmp_path: Path) -> None:
    assert write_csv(table([]), tmp_path / "a.csv") == 0
    assert write_xlsx([table([])], tmp_path / "a.xlsx") == 0
    assert read_csv(tmp_path / "a.csv") == [[column.title for column in COLUMNS]]
    assert len(read_xlsx(tmp_path / "a.xlsx")) == 1


def test_a_spool_reads_once_and_gives_often(tmp_path: Path) -> None:
    reads = 0

    def once() -> Iterator[tuple[Any, ...]]:
        nonlocal reads
        reads += 1
        yield from ROWS

    with spool(table(once()), tmp_path) as spooled:
        assert list(spooled.rows) == ROWS == list(spooled.rows)
        assert len(spooled.rows) == 3  # type: ignore[arg-type]
        assert list(zip(spooled.rows, spooled.rows, strict=True)) == [(row, row) for row in ROWS]
        assert write_csv(spooled, tmp_path / "a.csv") == write_xlsx([spooled], tmp_path / "a.xlsx") == 3
    assert reads == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.xlsx"]


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(TaskError, match=r"row 2 has 4 cells, and there are 5 columns"),
        spool(table([ROWS[0], ROWS[0][:4]]), tmp_path),
    ):
        pass


def test_memory_stays_flat(tmp_path: Path) -> None:
    program = f"""
import resource
from decimal import Decimal
from pathlib import Path
from steward.documents.tables.spreadsheets import spool, write_csv, write_xlsx
from steward.model.content import Column, Table
folder = Path({str(tmp_path)!r})
def work(count):
    rows = ((f"Member number {{n}}", Decimal(n) / 100) for n in range(count))
    with spool(Table("roster", (Column("a", "A"), Column("b", "B", "money")), rows), folder) as table:
        assert write_csv(table, folder / "a.csv") == write_xlsx([table], folder / "a.xlsx") == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
few = work(2_000)
print(work(60_000) - few)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8_000  # KiB; the rows themselves are over 10 MB


def test_the_csv_adds_up_like_the_rows(tmp_path: Path) -> None:
    rows = [(f"row {n}", Decimal(n * 37 % 1009) / 100) for n in range(5000)]
    write_csv(table(rows, (Column("a", "A"), Column("b", "B", "money"))), tmp_path / "a.csv")
    written = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8-sig"))))
    assert sum(Decimal(row["B"]) for row in written) == sum(amount for _, amount in rows)
    assert all(re.fullmatch(r"\d+\.\d\d", row["B"]) for row in written)
