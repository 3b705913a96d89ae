"""A ledger, and ways to put tasks into it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database import Ledger
from steward.storage.database.schema.tables import metadata
from steward.storage.tasks import acceptance, deliveries, idempotency
from steward.storage.tasks.acceptance import NewTask
from steward.system.clock import new_id, now


def key(text: str, digest: str = "d", caller: str = "tests", **changes: str) -> idempotency.IdempotencyKey:
    return idempotency.IdempotencyKey(caller, text, digest, **changes)


def entry(**changes) -> NewTask:
    moment = now()
    values = {
        "id": new_id(), "name": "welcome", "state": State.QUEUED, "lane": "mail", "priority": 0, "payload": "{}",
        "sealed": None, "recipient": "ada@example.org", "requested_by": "tests", "created_at": moment,
        "due_at": moment, "expires_at": None,
    } | changes  # fmt: skip
    return NewTask(**values)


@pytest.fixture(scope="session")
def ledger_on_postgres(postgres):
    """One for all tests: to make a database takes longer than most of them."""
    ledger = Ledger(postgres.create())
    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """An empty ledger; a test that takes it runs once on each database."""
    if request.param == "sqlite":
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
        ledger.open()
        yield ledger
        ledger.close()
        return
    ledger = request.getfixturevalue("ledger_on_postgres")
    names = ", ".join(table.name for table in metadata.sorted_tables)
    ledger.apply(lambda c: c.execute(sa.text(f"TRUNCATE {names}")))
    yield ledger


@pytest.fixture
def add(ledger):
    def add(**changes) -> str:
        made = entry(**changes)
        ledger.apply(lambda c: acceptance.accept(c, [made]))
        return made.id

    return add


def mark(connection, copy):
    """Mark one copy and return whether its attempt is the task's own still."""
    return deliveries.mark_each(connection, [copy])[0]


def record(connection, copy, outcome, code, reply, *, marked=True):
    """Record what became of one copy that was marked in its attempt, or never came so far."""
    deliveries.record_each(connection, [replace(copy, outcome=outcome, code=code, reply=reply, marked=marked)])
