"""Whatever stands in the application's database that cannot be meant: the reports name its table, row and column."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from steward import Calendar, Record, Source, UnreadableData, to_date, to_decimal
from steward.cli import sample
from steward.errors import InvalidRequest
from steward.installation import settings
from steward.installation.container import Steward

GRANT = "DOL-ABA-2025-0417"
FIGURE = ("12,50", "$12", "NaN", "Infinity", b"12.50", None)
HOURS = ("12,50", "NaN", -1, None)
DAY = ("03/31/2026", "31.03.2026", "2026-02-30", 20260331, None)
DAY_OR_NONE = ("03/31/2026", 46112)
TEXT = (b"\xff", None)
FLAG = ("maybe", 7, None)
FLAG_OR_NONE = ("maybe", 7)
COLUMNS: dict[str, dict[str, tuple[Any, ...]]] = {
    "grants": {
        "name": TEXT,
        "funding_source": TEXT,
        "total_amount": (*FIGURE, -1),
        "spent_amount": FIGURE,
        "start_date": DAY,
        "end_date": DAY,
        "allowable_categories": ("tools, travel", '{"tools": 1}', '["tools", 1]', '"tools"', "", None),
        "reporting_frequency": TEXT,
        "enrollment_cap": ("many", -1, 2.5),
    },
    "grant_budgets": {"category": TEXT, "amount": FIGURE},
    "expenses": {
        "purchased_at": DAY,
        "item": TEXT,
        "description": (b"\xff",),
        "category": TEXT,
        "vendor": (b"\xff",),
        "payment_method": TEXT,
        "receipt_number": (b"\xff",),
        **dict.fromkeys(("quantity", "unit_price", "tax", "discount", "total_price"), FIGURE),
    },
    "grant_enrollments": {"enrolled_date": DAY, "ended_date": DAY_OR_NONE, "status": (*TEXT, "on holiday")},
    "students": {
        "gender": (b"\xff",),
        "race_ethnicity": (b"\xff",),
        "veteran": FLAG,
        "date_of_birth": DAY_OR_NONE,
    },
    "attendance": {"session_date": DAY, "status": TEXT, "hours": HOURS},
    "certifications": {"name": TEXT, "issued_date": DAY},
    "placements": {
        "start_date": DAY,
        "hourly_wage": HOURS,
        "is_union": FLAG,
        **dict.fromkeys(("followup_30", "followup_60", "followup_90"), FLAG_OR_NONE),
    },
    "members": {
        "member_number": TEXT,
        "first_name": TEXT,
        "middle_name": (b"\xff",),
        "last_name": TEXT,
        "city": (b"\xff",),
        "state": (b"\xff",),
        "date_of_birth": DAY_OR_NONE,
        "hire_date": DAY_OR_NONE,
        "status": (*TEXT, "on holiday"),
        "classification": TEXT,
        "status_changed_on": DAY_OR_NONE,
        "updated_at": DAY,
        "deleted_at": DAY_OR_NONE,
    },
}
CASES = [
    pytest.param(table, column, values, id=f"{table}.{column}")
    for table, columns in COLUMNS.items()
    for column, values in columns.items()
]
STUDENT = """
    SELECT MIN(e.student_id) FROM grant_enrollments e JOIN placements w ON w.student_id = e.student_id
    JOIN certifications c ON c.student_id = e.student_id JOIN attendance a ON a.student_id = e.student_id
    WHERE e.grant_id = (SELECT id FROM grants WHERE grant_number = :number) AND e.status <> 'applicant'
"""
OF_GRANT = "(SELECT id FROM grants WHERE grant_number = :number)"
ROW = {
    "grants": "SELECT id FROM grants WHERE grant_number = :number",
    **{t: f"SELECT MIN(id) FROM {t} WHERE grant_id = {OF_GRANT}" for t in ("grant_budgets", "expenses")},
    "grant_enrollments": f"SELECT MIN(id) FROM grant_enrollments WHERE grant_id = {OF_GRANT} AND status <> 'applicant'",
    "students": STUDENT,
    **{
        t: f"SELECT MIN(id) FROM {t} WHERE student_id = ({STUDENT})"
        for t in ("attendance", "certifications", "placements")
    },
    "members": "SELECT MIN(id) FROM members WHERE deleted_at IS NULL AND hire_date IS NOT NULL",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample in tables that hold whatever they are given, as an application's own may."""
    path = tmp_path_factory.mktemp("unreadable") / "members.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(sample.SCHEMA.replace(" NOT NULL", ""))
        for name, rows in sample.draw().items():
            stored = [tuple(str(v) if isinstance(v, (date, datetime, Decimal)) else v for v in row) for row in rows]
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", stored)
    return path


@pytest.fixture
def change(whole: Path, tmp_path: Path) -> Iterator[Callable[..., Source]]:
    sources: list[Source] = []

    def run(statement: str, *values: Any) -> Source:
        path = tmp_path / f"members-{len(sources)}.sqlite3"
        shutil.copyfile(whole, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, values)
        sources.append(Source(f"sqlite:///{path}"))
        return sources[-1]

    yield run
    for source in sources:
        source.close()


@pytest.fixture(scope="module")
def steward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steward]:
    steward = Steward(settings.load(data_dir=tmp_path_factory.mktemp("steward"), free_space_mb=0))
    yield steward
    steward.close()


def report(steward: Steward, table: str, source: Source) -> None:
    """Ask for the report that reads `table`."""
    if table == "members":
        handler, given = steward.registry.get("membership_summary"), {"roster": True, "formats": ["csv"]}
    else:
        handler, given = steward.registry.get("grant_report"), {"grant": GRANT}
    payload = handler.payload.model_validate({"start": "2025-07-01", "end": "2026-09-30", **given})
    handler(payload, source, Calendar())


@pytest.mark.parametrize(("table", "column", "values"), CASES)
def test_what_cannot_be_meant_is_named(
    steward: Steward, change: Callable[..., Source], table: str, column: str, values: tuple[Any, ...]
) -> None:
    row = change("SELECT 1").value(ROW[table], number=GRANT)
    for value in values:
        source = change(f"UPDATE {table} SET {column} = ? WHERE id = ?", value, row)
        with pytest.raises(UnreadableData) as refusal:
            report(steward, table, source)
        assert f"table {table}, row {row} " in str(refusal.value), value
        assert f", column {column}." in str(refusal.value), value
        assert "Correct it there" in refusal.value.remedy


def test_a_sound_database_is_read(steward: Steward, change: Callable[..., Source]) -> None:
    for table in COLUMNS:
        report(steward, table, change("SELECT 1"))


@pytest.mark.parametrize(
    ("table", "statement", "words"),
    [
        ("expenses", "DROP TABLE expenses", "no table expenses"),
        ("placements", "DROP TABLE placements", "no table placements"),
        ("members", "ALTER TABLE members RENAME TO people", "no table members"),
        ("expenses", "ALTER TABLE expenses DROP COLUMN tax", "The table expenses has no column tax"),
        ("students", "ALTER TABLE students DROP COLUMN veteran", "no column s.veteran"),
        ("members", "ALTER TABLE members DROP COLUMN city", "no column city"),
    ],
)
def test_a_table_or_column_that_is_not_there_is_named(
    steward: Steward, change: Callable[..., Source], table: str, statement: str, words: str
) -> None:
    with pytest.raises(UnreadableData, match=words):
        report(steward, table, change(statement))


def test_the_door_answers_with_the_same_words(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "members.sqlite3"
    shutil.copyfile(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE grants SET allowable_categories = 'tools, travel'")
    place = Steward(settings.load(data_dir=tmp_path / "data", source_url=f"sqlite:///{path}", free_space_mb=0))
    try:
        wish = {"grant": GRANT, "start": "2025-07-01", "end": "2026-09-30"}
        with pytest.raises(InvalidRequest, match=r"table grants, row 1 .*column allowable_categories"):
            place.service.enqueue("grant_report", wish)
        assert place.service.find().tasks == ()
    finally:
        place.close()


def test_what_is_personal_is_not_repeated() -> None:
    record = Record("students", {"id": 4, "date_of_birth": "03/31/1990"}, private=("date_of_birth",))
    with pytest.raises(UnreadableData) as refusal:
        record.day("date_of_birth")
    assert "1990" not in str(refusal.value)
    assert "table students, row 4 (id), column date_of_birth" in str(refusal.value)


def test_days_from_sqlite_are_days(change: Callable[..., Source]) -> None:
    row = change("SELECT 1").one("SELECT purchased_at, (SELECT MIN(start_date) FROM grants) AS text FROM expenses")
    assert row is not None
    assert isinstance(row["purchased_at"], datetime)
    assert isinstance(change("SELECT 1").value("SELECT start_date FROM grants"), date)
    assert to_date(row["purchased_at"]) == row["purchased_at"].date()


@pytest.mark.parametrize("value", ["12,50", "1_000", "１２", "", " 12", "0x10", "NaN", "1e999", b"1", True])
def test_what_is_no_figure_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="figure is needed"):
        to_decimal(value)
