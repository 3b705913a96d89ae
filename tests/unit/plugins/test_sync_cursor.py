"""A cursor is one attempt's at a time; what a late attempt writes is refused; pages pass no faster than allowed."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from tests.unit.storage.conftest import entry

from steward.errors import LateWriter, StateConflict
from steward.model.content import Secret
from steward.plugins.run_result import HandlerRequest
from steward.plugins.sync_cursor import LedgerCursor
from steward.storage import sync_cursors
from steward.storage.database import Ledger
from steward.storage.database.schema.tables import synced
from steward.storage.encryption import Seal
from steward.storage.tasks import acceptance, attempts, recovery
from steward.system.clock import new_id, now

SEAL = Seal(b"k" * 32)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    url = f"sqlite:///{tmp_path}/l.sqlite3" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    ledger = Ledger(url)
    ledger.open()
    yield ledger
    ledger.close()


def taken(connection):
    """Return the items that the other side has, each with its name there."""
    rows = connection.execute(sa.select(synced).where(synced.c.name == "sync", synced.c.scope == "books"))
    return {row.item: row.remote for row in rows if row.remote is not None}


def begin(ledger, task_id: str | None = None) -> LedgerCursor:
    """Return the cursor of a new attempt, at a new task or at this one."""
    claim = new_id()
    if task_id is None:
        made = entry(name="sync")
        ledger.apply(lambda c: acceptance.accept(c, [made]))
        task_id = made.id
    assert ledger.apply(lambda c: attempts.begin(c, [task_id], "w", claim, now()))
    return LedgerCursor(ledger, SEAL, HandlerRequest(task_id, "sync", "{}", [], now(), claim))


def test_a_page_is_pending_until_it_is_committed(ledger):
    cursor = begin(ledger)
    cursor.take("books")
    assert (cursor.position, cursor.pending, cursor.secret) == (None, None, None)
    cursor.begin({"items": [1, 2]})
    assert cursor.pending == {"items": [1, 2]}
    cursor.commit({"after": 2}, done={"1": "r1"}, refused={"2": "too heavy"})
    assert (cursor.position, cursor.pending) == ({"after": 2}, None)
    assert cursor.refused() == {"2": "too heavy"}
    cursor.begin({"items": [2]})
    cursor.commit(done={"2": "r2"})
    assert (cursor.position, cursor.refused()) == ({"after": 2}, {})
    with ledger.read() as connection:
        assert taken(connection) == {"1": "r1", "2": "r2"}


def test_a_secret_is_sealed_and_given_back_to_the_next_run(ledger):
    cursor = begin(ledger)
    cursor.take("books")
    cursor.keep(Secret("hush"))
    with ledger.read() as connection:
        assert b"hush" not in sync_cursors.read(connection, "sync", "books").sealed
    fresh = begin(ledger)
    fresh.look("books")
    assert fresh.secret == Secret("hush")
    fresh.look("other books")
    assert fresh.secret is None


def test_another_task_waits_until_the_first_has_ended(ledger):
    first, second = begin(ledger), begin(ledger)
    first.take("books")
    with pytest.raises(StateConflict, match="under way"):
        second.take("books")
    second.take("other books")
    ledger.apply(lambda c: recovery.release(c, ["w"], now()))
    third = begin(ledger)
    third.take("books")
    assert third.position is None


def test_a_late_attempt_can_write_nothing(ledger):
    late = begin(ledger)
    late.take("books")
    late.begin({"page": 1})
    ledger.apply(lambda c: recovery.release(c, ["w"], now()))
    for act in (
        lambda: late.begin({"page": 2}),
        lambda: late.commit(1, done={"1": "x"}),
        lambda: late.keep(Secret("x")),
    ):
        with pytest.raises(LateWriter):
            act()
    with ledger.read() as connection:
        assert sync_cursors.read(connection, "sync", "books").pending == {"page": 1}
        assert taken(connection) == {}
    with pytest.raises(StateConflict):
        late.take("books")
    again = begin(ledger, late._request.task_id)
    again.take("books")
    assert again.pending == {"page": 1}


def test_pages_pass_no_faster_than_allowed(ledger):
    cursor = begin(ledger)
    cursor.take("books", per_minute=300)
    started = time.monotonic()
    for page in range(4):
        cursor.begin(page)
        cursor.commit(page)
    assert time.monotonic() - started >= 3 * 0.2
