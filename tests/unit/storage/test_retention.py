"""Erasing secrets, deleting what is old, forgetting a person, and finding a rule that is broken."""

import pytest
import sqlalchemy as sa

from steward.errors import StateConflict
from steward.model.results import Artifact, Outcome
from steward.model.states import State
from steward.storage.database.schema.tables import keys, metadata, tasks
from steward.storage.maintenance import retention
from steward.storage.tasks import artifacts, attempts, idempotency, search
from steward.storage.tasks.attempts import AttemptEnd
from steward.storage.tasks.deliveries import StoredDelivery
from steward.system.clock import SECOND, now

from .conftest import entry, key, mark, record


def finish(ledger, task_id, *, to=(), state=State.SUCCEEDED, at=None):
    """Let a task end, with an accepted copy for each of `to` and one file."""

    def change(connection):
        moment = at or now()
        attempts.begin(connection, [task_id], "w1", "c1", moment)
        for n, recipient in enumerate(to):
            copy = StoredDelivery(task_id, "c1", n, recipient, f"<{n}@x>", "Your letter", 1, b"x")
            mark(connection, copy)
            record(connection, copy, Outcome.ACCEPTED, 250, f"ok {recipient}")
        artifacts.record(
            connection, task_id, "c1", Artifact(1, "a.csv", "text/csv", 1, "0" * 64, f"{task_id}/a"), moment
        )
        attempts.end(connection, AttemptEnd(task_id, 1, "c1", state, moment, error="Ada was not in"))

    ledger.apply(change)


def get(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id)


def test_the_secrets_of_what_failed_are_erased_after_ten_minutes(ledger, add):
    moment = now()
    old, recent, waiting = add(sealed=b"s"), add(sealed=b"s"), add(sealed=b"s")
    finish(ledger, old, state=State.FAILED, at=moment - 601 * SECOND)
    finish(ledger, recent, state=State.FAILED, at=moment - 599 * SECOND)
    assert ledger.apply(lambda c: retention.erase_secrets(c, moment)) == 1
    with ledger.read() as connection:
        kept = set(connection.scalars(sa.select(tasks.c.id).where(tasks.c.sealed.is_not(None))))
    assert kept == {recent, waiting}


def test_what_ended_long_ago_is_deleted_with_all_that_is_recorded_of_it(ledger, add):
    old, new, waiting = add(), add(), add()
    ledger.apply(lambda c: idempotency.accept_once(c, entry(), key("k", "d")))
    ledger.apply(lambda c: c.execute(keys.update().values(task_id=old)))
    finish(ledger, old, to=["a@x.org"], at=now() - 100 * SECOND)
    finish(ledger, new)
    with ledger.read() as connection:
        ids = retention.finished_before(connection, now() - 50 * SECOND)
    assert ids == [old]
    ledger.apply(lambda c: retention.delete(c, ids))
    with ledger.read() as connection:
        for table in ("attempts", "deliveries", "artifacts", "idempotency_keys"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table} WHERE task_id = '{old}'").scalar() == 0
        assert {new, waiting} <= set(connection.scalars(sa.select(tasks.c.id)))
        assert retention.breaches(connection) == []


def test_a_person_is_found_wherever_the_address_stands_and_forgotten(ledger, add):
    mine = add(recipient="ada@x.org")
    shared = add(recipient="bob@x.org")
    within = add(recipient=None, payload='{"recipients": ["ada@x.org"]}')
    other = add(recipient="notada@x.org", payload='{"email": "notada_x@x.org"}')
    for task_id, to in (
        (mine, ["ADA@x.org"]),
        (shared, ["bob@x.org", "ada@x.org"]),
        (within, []),
        (other, ["eve@x.org"]),
    ):
        finish(ledger, task_id, to=to)
    with ledger.write() as connection:
        ids = retention.tasks_of(connection, "ada@x.org")
        alone = retention.forget(connection, "ada@x.org", ids)
    assert {mine, shared, within} <= set(ids)
    assert set(alone) == {mine, within}
    with ledger.read() as connection:
        rows = [str(tuple(row)) for t in metadata.sorted_tables for row in connection.execute(sa.select(t))]
    left = [row for row in rows if other not in row]
    assert len(left) > 8
    assert not [row for row in left if "ada" in row.lower()]
    assert [d.to for d in get(ledger, shared).deliveries] == ["bob@x.org", "erased"]
    assert get(ledger, shared).artifacts
    assert not get(ledger, mine).artifacts
    assert get(ledger, mine).state == "succeeded"


def test_nobody_is_forgotten_while_a_task_for_them_is_open(ledger, add):
    add(recipient="ada@x.org")
    with ledger.read() as connection, pytest.raises(StateConflict, match="1 tasks for this person are still open"):
        retention.tasks_of(connection, "Ada@x.org")


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("UPDATE tasks SET state = 'done'", "every task has a known state"),
        ("UPDATE tasks SET state = 'running', finished_at = NULL", "a running task is in a worker's hand"),
        ("UPDATE tasks SET finished_at = NULL", "a finished task says when"),
        ("UPDATE tasks SET state = 'queued'", "an open task has not finished"),
        ("UPDATE deliveries SET outcome = 'uncertain'", "a task that succeeded has no open delivery"),
        ("UPDATE tasks SET sealed = :some", "a finished task keeps no secret"),
        ("UPDATE deliveries SET wire = :some", "a message is kept only until its outcome is known"),
        ("DELETE FROM tasks", "every delivery, attempt and file has its task"),
    ],
)
def test_every_broken_rule_is_found_and_named(ledger, add, damage, rule):
    finish(ledger, add(), to=["a@x.org"])
    with ledger.read() as connection:
        assert retention.breaches(connection) == []
    ledger.apply(lambda c: c.execute(sa.text(damage), {"some": b"x"} if ":some" in damage else {}))
    with ledger.read() as connection:
        assert rule in [breach.rule for breach in retention.breaches(connection)]
