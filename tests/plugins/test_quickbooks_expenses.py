"""Expenses reach QuickBooks each once and to the cent, whatever is killed, refused or throttled on the way."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.journeys.installation import Installation
from tests.servers.quickbooks import REALM, QuickBooks

from steward.cli.sample import make
from steward.installation.settings import load
from steward.model.results import TaskResult
from steward.plugins.records import to_decimal
from steward.storage import sync_cursors
from steward.storage.database.schema.tables import cursors as table
from steward.storage.database.schema.tables import synced
from steward.worker.dry_run import DryRun, apart, trial

NAME = "quickbooks_expenses"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "members.sqlite3"
    make(path)
    return path


@pytest.fixture
def database(sample: Path, tmp_path: Path) -> Path:
    """An application's database of this test's own, with 100 expenses."""
    path = tmp_path / "members.sqlite3"
    shutil.copyfile(sample, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM expenses WHERE id NOT IN (SELECT id FROM expenses ORDER BY id LIMIT 100)")
    return path


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Iterator[QuickBooks]:
    with QuickBooks() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def place(books: QuickBooks, database: Path, tmp_path: Path) -> Iterator[DryRun]:
    settings = apart(load(source_url=f"sqlite:///{database}", retry_delays=(0.1,)), tmp_path / "trial")
    with trial(settings) as made:
        yield made


def expected(database: Path) -> dict[str, Decimal]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT id, total_price FROM expenses").fetchall()
    return {f"STW-{number}": to_decimal(total) for number, total in rows}


def export(place: DryRun, *, dry_run: bool = False) -> TaskResult:
    return place.service.get_status(place.service.enqueue(NAME, dry_run=dry_run))


def add_expense(database: Path, total: str, category: str = "safety") -> int:
    with closing(sqlite3.connect(database)) as connection, connection:
        return int(
            connection.execute(
                "INSERT INTO expenses (grant_id, item, quantity, unit_price, total_price, tax, discount, category,"
                " vendor, payment_method, receipt_number, purchased_at)"
                " VALUES (1, 'Gloves', 1, ?, ?, 0, 0, ?, 'SafeHand', 'card', 'R-1', '2026-11-01 09:00:00')"
                " RETURNING id",
                (total, total, category),
            ).fetchone()[0]
        )


def test_it_is_off_unless_a_company_is_set(tmp_path: Path) -> None:
    with trial(apart(load(), tmp_path)) as made:
        assert NAME not in made.steward.registry.handlers


def test_what_is_missing_is_named(place: DryRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUICKBOOKS_CLIENT_ID")
    task = export(place)
    assert task.state == "failed"
    assert "QUICKBOOKS_CLIENT_ID" in task.error


def test_a_dry_run_says_what_it_would_do_and_asks_for_nothing(place: DryRun, books: QuickBooks, database: Path) -> None:
    task = export(place, dry_run=True)
    assert task.note == f"Would export 100 expenses, {sum(expected(database).values()):,.2f} in all."
    assert (books.signed_in, books.purchases) == (0, {})


def test_every_expense_arrives_once_and_to_the_cent(place: DryRun, books: QuickBooks, database: Path) -> None:
    task = export(place)
    assert task.state == "succeeded", task.error
    assert task.note == f"100 expenses exported, {sum(expected(database).values()):,.2f} in all."
    assert books.totals() == expected(database)
    assert len(books.numbers()) == 100
    assert [len(batch) for batch in books.batches] == [30, 30, 30, 10]
    purchase = next(p for p in books.purchases.values() if p["DocNumber"] == "STW-2")
    assert purchase["PaymentType"] == "Check"
    assert purchase["AccountRef"]["value"] == "35"
    assert purchase["Line"][0]["AccountBasedExpenseLineDetail"]["AccountRef"]["value"] == "61"
    assert purchase["PrivateNote"].startswith("Grant ")


def test_a_second_run_exports_only_what_is_new(place: DryRun, books: QuickBooks, database: Path) -> None:
    export(place)
    assert export(place).note == "0 expenses exported, 0.00 in all."
    number = add_expense(database, "12.30")
    assert export(place).note == "1 expense exported, 12.30 in all."
    assert books.batches[-1] == [str(number)]
    assert books.totals() == expected(database)
    # Each run signed in with the token that the one before was given, which is sealed in the ledger.
    assert books.signed_in == 3
    with place.steward.ledger.read() as connection:
        sealed = connection.scalar(sa.select(table.c.sealed))
    assert b"refresh-" not in sealed


def test_what_is_refused_is_said_and_tried_again(
    place: DryRun, books: QuickBooks, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.unknown_account = "61"
    first = export(place)
    assert first.state == "succeeded"
    assert "were refused and are tried again next time" in first.note
    assert "Accounts element id 61 not found" in first.note
    assert 0 < len(books.purchases) < 100
    assert "refused before" in export(place, dry_run=True).note
    monkeypatch.setenv("QUICKBOOKS_CATEGORY_ACCOUNTS", "{}")
    second = export(place)
    assert "refused" not in second.note
    assert books.totals() == expected(database)
    assert len(books.numbers()) == 100
    with place.steward.ledger.read() as connection:
        assert sync_cursors.refused(connection, NAME, REALM) == {}
        ours = (synced.c.name == NAME, synced.c.scope == REALM, synced.c.remote.is_not(None))
        assert len(connection.execute(synced.select().where(*ours)).all()) == 100


def test_a_request_to_wait_is_heeded(place: DryRun, books: QuickBooks, database: Path) -> None:
    books.throttle, books.retry_after = 2, "0"
    assert export(place).state == "succeeded"
    assert books.totals() == expected(database)


def test_where_waiting_does_not_help_the_task_is_tried_again_later(
    place: DryRun, books: QuickBooks, database: Path
) -> None:
    books.throttle, books.retry_after = 3, "0"
    task = export(place)
    assert task.state == "retrying"
    assert "asked us to wait" in task.error
    place.service.run_due(10**18)
    assert place.service.get_status(task.id).state == "succeeded"
    assert books.totals() == expected(database)
    assert len(books.numbers()) == 100


def test_a_token_that_is_not_accepted_fails_in_words(place: DryRun, books: QuickBooks) -> None:
    books.refresh_token = "another"
    task = export(place)
    assert task.state == "failed"
    assert "QUICKBOOKS_REFRESH_TOKEN" in task.error
    assert "refresh-1" not in task.error


def test_one_run_at_a_time(place: DryRun, books: QuickBooks, database: Path) -> None:
    books.hold = threading.Event()
    first = threading.Thread(target=export, args=(place,))
    first.start()
    assert books.arrived.wait(30)
    second = export(place)
    assert second.state == "retrying"
    assert "Another run" in second.error
    books.hold.set()
    first.join(60)
    place.service.run_due(10**18)
    assert place.service.get_status(second.id).note == "0 expenses exported, 0.00 in all."
    assert len(books.numbers()) == 100


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    made: list[Installation] = []

    def start(**settings: object) -> Installation:
        made.append(Installation(tmp_path / "one", **settings))
        return made[-1]

    (tmp_path / "one").mkdir()
    yield start
    for each in made:
        each.close()


@pytest.mark.parametrize(
    "moment",
    ["before it is booked", pytest.param("after it is booked", marks=pytest.mark.long), "half booked and long ago"],
)
def test_a_worker_that_is_killed_in_the_middle_books_no_expense_twice(
    install: Callable[..., Installation], books: QuickBooks, database: Path, moment: str
) -> None:
    books.hold = threading.Event()
    books.hold_before = moment == "before it is booked"
    place = install(source_url=f"sqlite:///{database}", retry_delays=[0.1])
    worker = place.work()
    task = place.enqueue(NAME, dry_run=False)
    assert books.arrived.wait(60)
    worker.kill9()
    if moment == "before it is booked":  # the batch is on its way while the next attempt begins
        place.work()
        place.wait_until(lambda: books.waiting == 2, "the batch is sent again", 60)
        books.hold.set()
    else:  # what QuickBooks has booked must do: it remembers no request
        books.hold.set()
        books.hold, books.remembers_requests = None, False
        if moment == "half booked and long ago":
            for made in list(books.purchases)[::2]:
                del books.purchases[made]
            with place.steward.ledger.write() as connection:
                page = json.loads(connection.scalar(sa.select(table.c.pending)))
                connection.execute(table.update().values(pending=json.dumps(page | {"at": page["at"] - 3600})))
        place.work()
    done = place.wait_for(task, "succeeded", seconds=90)
    assert books.totals() == expected(database)
    assert len(books.numbers()) == 100
    assert done.note == f"100 expenses exported, {sum(expected(database).values()):,.2f} in all."
    assert books.queries == 1
    assert books.requests.count(books.requests[0]) == (2 if moment == "before it is booked" else 1)


def test_an_expense_that_cannot_be_read_is_refused_by_name_and_holds_up_no_other(
    place: DryRun, books: QuickBooks, database: Path
) -> None:
    number, _ = add_expense(database, "10.00"), add_expense(database, "9.00")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE expenses SET purchased_at = '03/31/2026' WHERE id = ?", (number,))
    looked = export(place, dry_run=True)
    assert "1 of them cannot be read. The application's database holds a value" in str(looked.note)
    task = export(place)
    assert task.state == "succeeded", task.error
    assert "101 expenses exported" in str(task.note)
    assert "1 were refused and are tried again next time" in str(task.note)
    assert f"table expenses, row {number} (id), column purchased_at" in str(task.note)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE expenses SET purchased_at = '2026-03-31 09:00:00' WHERE id = ?", (number,))
    assert "1 expense exported" in str(export(place).note)
