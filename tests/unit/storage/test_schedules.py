"""How many schedules one owner may have holds however many ask at once, whichever way a schedule becomes theirs."""

import threading
from dataclasses import replace

import pytest

from steward.errors import StateConflict
from steward.model.caller import Caller
from steward.storage import schedules
from steward.storage.database import Ledger
from steward.storage.schedules import StoredSchedule
from steward.system.clock import new_id, now

ADA = Caller("ada-id", "Ada", frozenset({"send"}))


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    url = f"sqlite:///{tmp_path}/l.sqlite3" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Ledger(url)
    made.open()
    yield made
    made.close()


def entry(owner_id=ADA.id):
    whose = {"owner": "Ada", "owner_id": owner_id, "created_at": now(), "next_at": None}
    return StoredSchedule(new_id(), "letter", "person", "0 6 * * *", "UTC", "once", "{}", **whose)


def add(ledger, made, most):
    return ledger.apply(lambda c: schedules.add_within(c, made, most))


def owned(ledger, owner_id=ADA.id):
    with ledger.read() as connection:
        return len(schedules.every(connection, owner_id))


def test_many_who_ask_at_once_get_so_many_as_one_owner_may_have(ledger):
    outcomes, start = [], threading.Barrier(12)

    def ask():
        start.wait(20)
        try:
            outcomes.append(add(ledger, entry(), 5))
        except StateConflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (outcomes.count(True), outcomes.count("refused"), owned(ledger)) == (5, 7, 5)


def test_a_schedule_that_is_taken_over_counts_with_whose_it_becomes(ledger):
    theirs = entry("another")
    add(ledger, theirs, 1)
    add(ledger, entry(), 1)
    with pytest.raises(StateConflict, match="There are 1 schedules of yours already"):
        ledger.apply(lambda c: schedules.take_over(c, theirs.id, ADA, 1))
    assert (owned(ledger), owned(ledger, "another")) == (1, 1)
    ledger.apply(lambda c: schedules.take_over(c, theirs.id, ADA, 2))
    assert owned(ledger) == 2


def test_a_repeat_is_no_new_one_and_what_was_there_before_the_bound_stays(ledger):
    first = entry()
    for each in (first, entry(), entry()):
        add(ledger, each, 3)
    assert add(ledger, replace(first, created_at=now()), 2) is False  # the bound was lowered meanwhile
    with pytest.raises(StateConflict):
        add(ledger, entry(), 2)
    assert owned(ledger) == 3
