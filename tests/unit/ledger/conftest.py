"""A ledger, and ways to put tasks into it."""

import pytest

from steward.clock import new_id, now
from steward.ledger import Ledger, acceptance
from steward.ledger.acceptance import Entry
from steward.tasks import State


def entry(**changes) -> Entry:
    moment = now()
    values = {
        "id": new_id(), "name": "welcome", "state": State.QUEUED, "lane": "mail", "priority": 0, "payload": "{}",
        "sealed": None, "recipient": "ada@example.org", "requested_by": "tests", "created_at": moment,
        "due_at": moment, "expires_at": None,
    } | changes  # fmt: skip
    return Entry(**values)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture
def add(ledger):
    def add(**changes) -> str:
        made = entry(**changes)
        ledger.apply(lambda c: acceptance.accept(c, [made]))
        return made.id

    return add
