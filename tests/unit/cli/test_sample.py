"""The sample database: the same every time, and true in itself to the cent."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from steward.cli import sample

TODAY = sample.CUT_OFF.date()
DEMO = sample.GRANT_REPORT["grant"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.make(tmp_path_factory.mktemp("sample") / "members.sqlite3").path


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


def value(database: sqlite3.Connection, statement: str, *parameters: Any) -> Any:
    return database.execute(statement, parameters).fetchone()[0]


def cents(amount: Any) -> int:
    exact = Decimal(str(amount)) * 100
    assert exact == int(exact), f"{amount} is not to the cent"
    return int(exact)


def test_the_same_every_time_to_the_byte(path: Path, tmp_path: Path) -> None:
    begin = time.process_time()
    again = sample.make(tmp_path / "again.sqlite3")
    assert time.process_time() - begin < 3
    assert again.path.read_bytes() == path.read_bytes()
    with sqlite3.connect(path) as connection:
        assert again.rows == {name: value(connection, f"SELECT COUNT(*) FROM {name}") for name in again.rows}
    connection.close()
    # Whoever changes the sample on purpose changes this as well: reports that people compare are made from it.
    assert hashlib.sha256(repr(sample.draw()).encode()).hexdigest()[:16] == "eae7163330585687"


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "members.sqlite3"
    target.write_text("what was there")
    sample.make(target)
    assert target.read_bytes().startswith(b"SQLite format 3")
    with pytest.raises(OSError, match="No such file"):
        sample.make(tmp_path / "nowhere" / "members.sqlite3")
    (tmp_path / "folder.sqlite3").mkdir()
    with pytest.raises(OSError, match="directory"):
        sample.make(tmp_path / "folder.sqlite3")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.sqlite3", "members.sqlite3"]


def test_every_reference_leads_somewhere(database: sqlite3.Connection) -> None:
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert value(database, "PRAGMA integrity_check") == "ok"
    strangers = """SELECT COUNT(*) FROM attendance a LEFT JOIN enrollments e USING (student_id, cohort_id)
        WHERE e.id IS NULL OR a.session_date < e.enrolled_date
        OR a.session_date > COALESCE(e.ended_date, '9999-12-31')"""
    assert value(database, strangers) == 0


def test_every_expense_adds_up_and_so_do_the_grants(database: sqlite3.Connection) -> None:
    expenses = database.execute(
        "SELECT grant_id, quantity, unit_price, tax, discount, total_price FROM expenses"
    ).fetchall()
    spent: dict[int, int] = {}
    for grant, quantity, price, tax, discount, total in expenses:
        goods = Decimal(str(quantity)) * Decimal(str(price)) * 100
        assert goods == int(goods)
        assert int(goods) + cents(tax) - cents(discount) == cents(total) > 0
        spent[grant] = spent.get(grant, 0) + cents(total)
    for grant, amount, total in database.execute("SELECT id, spent_amount, total_amount FROM grants").fetchall():
        assert cents(amount) == spent[grant] < cents(total)
        budget = database.execute("SELECT amount FROM grant_budgets WHERE grant_id = ?", (grant,)).fetchall()
        assert sum(cents(each) for (each,) in budget) == cents(total)


def test_the_grant_of_the_demo_has_what_a_report_must_call_out(database: sqlite3.Connection) -> None:
    grant, allowable, cap = database.execute(
        "SELECT id, allowable_categories, enrollment_cap FROM grants WHERE grant_number = ?", (DEMO,)
    ).fetchone()
    start, end = sample.GRANT_REPORT["start"], sample.GRANT_REPORT["end"]
    rows = database.execute(
        "SELECT category, tax, discount, receipt_number, purchased_at FROM expenses"
        " WHERE grant_id = ? AND purchased_at BETWEEN ? AND ?",
        (grant, start, end + " 24"),
    ).fetchall()
    assert len(rows) >= 300
    assert len({row[4][:7] for row in rows}) == 15
    allowed = set(json.loads(allowable))
    assert allowed < {row[0] for row in rows}
    assert 3 <= sum(row[0] not in allowed for row in rows) <= 20
    assert min(sum(bool(row[1]) for row in rows), sum(bool(row[2]) for row in rows)) > 20
    assert 5 <= sum(row[3] is None for row in rows) <= len(rows) // 10
    enrolled = value(database, "SELECT COUNT(*) FROM grant_enrollments WHERE grant_id = ?", grant)
    assert 100 < enrolled <= cap
    small = """SELECT MIN(n) FROM (SELECT COUNT(*) n FROM grant_enrollments e JOIN students s ON s.id = e.student_id
        WHERE grant_id = ? GROUP BY {})"""
    assert 0 < value(database, small.format("gender"), grant) < 5
    assert 0 < value(database, small.format("race_ethnicity"), grant) < 5


def test_grants_come_from_six_funders(database: sqlite3.Connection) -> None:
    funders = [row[0] for row in database.execute("SELECT DISTINCT funding_source FROM grants")]
    assert len(funders) == 6
    for words in ("Department of Labor", "State of", "IBEW International", "NECA Training Trust", "Fund"):
        assert any(words in funder for funder in funders)


def test_the_members_stand_in_plausible_proportions(database: sqlite3.Connection) -> None:
    share = dict(database.execute("SELECT status, COUNT(*) / 4000.0 FROM members GROUP BY status").fetchall())
    assert 0.65 < share["active"] < 0.8
    assert 0.1 < share["retired"] < 0.2
    assert min(share.values()) > 0.005
    assert set(share) == {"active", "inactive", "suspended", "retired", "deceased"}
    classes = dict(database.execute("SELECT classification, COUNT(*) FROM members GROUP BY classification").fetchall())
    assert set(classes) == {*(f"apprentice_{n}" for n in range(1, 6)), "journeyman", "foreman", "retiree", "honorary"}
    assert all(100 < classes[f"apprentice_{n}"] < 300 for n in range(1, 6))
    assert value(database, "SELECT COUNT(*) FROM members WHERE status = 'active' AND classification = 'retiree'") == 0
    assert 20 < value(database, "SELECT COUNT(*) FROM members WHERE deleted_at IS NOT NULL") < 100


def test_somebody_joins_and_leaves_in_every_recent_quarter(database: sqlite3.Connection) -> None:
    for year, month in itertools.product(range(2022, 2027), (1, 4, 7, 10)):
        first, last = f"{year}-{month:02d}-01", f"{year}-{month + 2:02d}-31"
        if first > str(TODAY):
            continue
        assert 15 < value(database, "SELECT COUNT(*) FROM members WHERE hire_date BETWEEN ? AND ?", first, last) < 150
        left = """SELECT COUNT(*) FROM members WHERE status IN ('inactive', 'retired', 'deceased')
            AND status_changed_on BETWEEN ? AND ?"""
        assert 5 < value(database, left, first, last) < 60


def test_nothing_happened_after_the_cut_off_or_before_its_time(database: sqlite3.Connection) -> None:
    latest = {
        "members": ("hire_date", "status_changed_on", "created_at", "updated_at", "deleted_at"),
        "member_employments": ("start_date", "end_date"),
        "enrollments": ("enrolled_date", "ended_date"),
        "attendance": ("session_date",),
        "certifications": ("issued_date",),
        "placements": ("start_date",),
        "grant_enrollments": ("enrolled_date", "ended_date"),
        "expenses": ("purchased_at",),
    }
    for table, columns in latest.items():
        for column in columns:
            newest = value(database, f"SELECT MAX({column}) FROM {table}")
            assert datetime.fromisoformat(newest) <= sample.CUT_OFF, f"{table}.{column}"
    assert value(database, "SELECT MAX(updated_at) FROM members") == sample.CUT_OFF.isoformat(" ")
    assert value(database, "SELECT COUNT(*) FROM members WHERE status_changed_on < hire_date") == 0
    assert value(database, "SELECT COUNT(*) FROM members WHERE updated_at < created_at") == 0
    assert value(database, "SELECT COUNT(*) FROM members WHERE hire_date < date(date_of_birth, '+17 years')") == 0
    backwards = (
        "SELECT COUNT(*) FROM member_employments WHERE end_date < start_date OR (end_date IS NULL) <> is_current"
    )
    assert value(database, backwards) == 0


def test_follow_ups_are_known_once_they_are_due(database: sqlite3.Connection) -> None:
    rows = database.execute("SELECT start_date, followup_30, followup_60, followup_90 FROM placements").fetchall()
    assert len(rows) > 100
    for start, *known in rows:
        for days, stayed in zip((30, 60, 90), known, strict=True):
            due = date.fromisoformat(start) + timedelta(days=days)
            assert (stayed is not None) == (due <= TODAY)
        told = [stayed for stayed in known if stayed is not None]
        assert told == sorted(told, reverse=True)


def test_names_come_from_everywhere_and_addresses_lead_nowhere(database: sqlite3.Connection) -> None:
    names = database.execute("SELECT first_name, last_name FROM members").fetchall()
    letters = "".join(f"{first}{last}" for first, last in names)
    for letter in "áéíñüßłØčęăĐ'ễ- ":
        assert letter in letters, letter
    assert max(len(last) for _, last in names) > 20
    assert len(set(names)) > 3_700
    for table in ("members", "students"):
        emails = [row[0] for row in database.execute(f"SELECT email FROM {table} WHERE email IS NOT NULL")]
        assert len(set(emails)) == len(emails)
        assert all(re.fullmatch(r"[a-z0-9.]+@example\.org", email) for email in emails)
    phones = [row[0] for row in database.execute("SELECT phone FROM members WHERE phone IS NOT NULL")]
    assert all(re.fullmatch(r"\(\d{3}\) 555-01\d\d", phone) for phone in phones)
    zips = database.execute("SELECT state, zip_code, COUNT(DISTINCT city) FROM members GROUP BY 1, 2").fetchall()
    assert all(cities == 1 and zip_code.startswith({"OR": "97", "WA": "98"}[state]) for state, zip_code, cities in zips)


def test_postgres_takes_the_same_rows(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(sample.SCHEMA)
        for name, rows in sample.draw().items():
            if name != "attendance":  # the largest, and nothing in it is special
                marks = ", ".join(["%s"] * len(rows[0]))
                connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", list(rows))
        odd = "SELECT COUNT(*) FROM expenses WHERE total_price <> ROUND(quantity * unit_price, 2) + tax - discount"
        assert connection.exec_driver_sql(odd).scalar() == 0
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM members").scalar() == 4_000
    engine.dispose()
