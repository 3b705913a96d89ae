"""What is read back of a task tells the truth about each recipient, whatever became of the task."""

import pytest

from steward.model.results import Outcome
from steward.model.states import FINISHED, State
from steward.storage.database.schema.tables import deliveries, tasks
from steward.storage.tasks import claim, commands, recovery, search
from steward.system.clock import now

OPEN_ENDED = {Outcome.PENDING, Outcome.DEFERRED}


def written_to(ledger, task_id, outcome, n=0):
    row = {
        "task_id": task_id, "n": n, "recipient": f"{n}@example.org", "outcome": outcome.value, "message_id": "<m@x>",
        "subject": "s", "possible_duplicate": False, "attempt": 1, "at": now(),
    }  # fmt: skip
    ledger.apply(lambda c: c.execute(deliveries.insert().values(row)))


def outcome_of(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id).deliveries[0].outcome


@pytest.mark.parametrize("state", State)
def test_a_task_that_is_over_promises_nobody_another_try(ledger, add, state):
    ids = {outcome: add() for outcome in Outcome}
    for outcome, task_id in ids.items():
        written_to(ledger, task_id, outcome)
    ended = {"state": state, "finished_at": now() if state in FINISHED else None}
    ledger.apply(lambda c: c.execute(tasks.update().values(ended)))
    for outcome, task_id in ids.items():
        told = outcome_of(ledger, task_id)
        assert told is (Outcome.UNSENT if state in FINISHED and outcome in OPEN_ENDED else outcome)
    with ledger.read() as connection:
        counted = search.outcomes(connection)
    told = [outcome_of(ledger, task_id) for task_id in ids.values()]
    if state is not State.SUCCEEDED:  # such a one has no open copy: the ledger's own rules say so
        assert {o: n for o, n in counted.items() if n} == {o: told.count(o) for o in told}


@pytest.mark.parametrize(
    "end",
    [
        lambda c, i: commands.cancel(c, i, now()),
        lambda c, i: claim.expire(c, now()),
        lambda c, i: recovery.interrupt(c, now()),
    ],
    ids=["cancelled", "expired", "interrupted"],
)
def test_each_way_to_end_gives_a_last_word_and_another_try_takes_it_back(ledger, add, end):
    task_id = add(expires_at=now() - 1)
    written_to(ledger, task_id, Outcome.DEFERRED)
    ledger.apply(lambda c: end(c, task_id))
    assert outcome_of(ledger, task_id) is Outcome.UNSENT
    ledger.apply(lambda c: c.execute(tasks.update().values(state=State.FAILED, expires_at=None)))
    assert outcome_of(ledger, task_id) is Outcome.UNSENT
    ledger.apply(lambda c: commands.retry(c, task_id, now()))
    assert outcome_of(ledger, task_id) is Outcome.DEFERRED
