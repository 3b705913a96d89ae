"""Reading the application's database: the same values from SQLite as from PostgreSQL, and nothing written."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from steward import Source, to_date, to_decimal
from steward.errors import SourceUnavailable

ROWS = [
    (1, Decimal("0.10"), date(2026, 3, 31), datetime(2026, 3, 31, 23, 59, 59)),
    (2, Decimal("1234567890.01"), date(2026, 4, 1), datetime(2026, 4, 1)),
    (3, None, None, datetime(2026, 4, 2)),
]
TABLE = "CREATE TABLE bought (id INTEGER PRIMARY KEY, price NUMERIC(12,2), on_day DATE, at TIMESTAMP NOT NULL)"
FILL = "INSERT INTO bought VALUES (:id, :price, :on_day, :at)"
ASK = "SELECT id, price, on_day, at FROM bought WHERE at >= :since AND at < :until ORDER BY id"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    database = sqlite3.connect(tmp_path / "members.sqlite3")
    database.execute(TABLE)
    for n, price, day, at in ROWS:
        database.execute("INSERT INTO bought VALUES (?, ?, ?, ?)", (n, price and str(price), day and str(day), str(at)))
    database.commit()
    database.close()
    return f"sqlite:///{tmp_path / 'members.sqlite3'}"


@pytest.fixture
def filled_postgres_url(postgres_url: str) -> str:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text(TABLE))
        names = ("id", "price", "on_day", "at")
        connection.execute(sa.text(FILL), [dict(zip(names, row, strict=True)) for row in ROWS])
    engine.dispose()
    return postgres_url


def test_one_statement_gives_the_same_figures_and_days_from_either_database(
    sqlite_url: str, filled_postgres_url: str
) -> None:
    for url in (sqlite_url, filled_postgres_url):
        source = Source(url)
        for since, until, expected in (
            (date(2026, 3, 1), date(2026, 4, 1), ROWS[:1]),
            (date(2026, 4, 1), date(2026, 5, 1), ROWS[1:]),
        ):
            found = [
                (row["id"], to_decimal(row["price"]), to_date(row["on_day"]), to_date(row["at"]))
                for row in source.rows(ASK, since=since, until=until)
            ]
            assert found == [(n, price, day, at.date()) for n, price, day, at in expected]
        source.close()


def test_nothing_can_be_written_through_it(sqlite_url: str, filled_postgres_url: str) -> None:
    for url in (sqlite_url, filled_postgres_url):
        source = Source(url)
        with pytest.raises(SourceUnavailable):
            source.value("INSERT INTO bought VALUES (9, 1, NULL, '2026-01-01') RETURNING id")
        assert source.value("SELECT COUNT(*) FROM bought") == len(ROWS)
        source.close()


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_a_stored_amount_comes_back_to_the_cent(amount: Decimal) -> None:
    assert to_decimal(float(amount)) == amount
    assert to_decimal(str(amount)) == amount
    assert f"{to_decimal(amount)}" == f"{amount:.2f}"
