"""Cancelling and trying again, each by one conditional update."""

import pytest
import sqlalchemy as sa

from steward.errors import StateConflict, UnknownTask
from steward.model.states import FINISHED, RETRYABLE, State, sources_of
from steward.storage.database.schema.tables import tasks
from steward.storage.tasks import commands, search
from steward.system.clock import SECOND, new_id, now


def put(ledger, task_id, state, **values):
    more = {"finished_at": now()} if state in FINISHED else {}
    ledger.apply(lambda c: c.execute(tasks.update().where(tasks.c.id == task_id).values(state=state, **more, **values)))


def get(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id)


@pytest.mark.parametrize("state", State)
def test_only_what_is_not_finished_is_cancelled(ledger, add, state):
    task_id = add(sealed=b"secret")
    put(ledger, task_id, state)
    if state in sources_of(State.CANCELLED):
        ledger.apply(lambda c: commands.cancel(c, task_id, now()))
        task = get(ledger, task_id)
        assert (task.state, task.worker, task.finished_at is None) == ("cancelled", None, False)
        with ledger.read() as connection:
            assert connection.scalar(sa.select(tasks.c.sealed)) is None
    else:
        with pytest.raises(StateConflict, match=f"is {state} and cannot be cancelled"):
            ledger.apply(lambda c: commands.cancel(c, task_id, now()))
        assert get(ledger, task_id).state == state


@pytest.mark.parametrize("state", State)
def test_only_what_failed_or_waits_is_tried_again(ledger, add, state):
    task_id = add()
    put(ledger, task_id, state, failures=5, lost=3, error="no", attempt=7)
    if state in RETRYABLE:
        ledger.apply(lambda c: commands.retry(c, task_id, now()))
        task = get(ledger, task_id)
        assert (task.state, task.error, task.finished_at, task.attempt) == ("queued", None, None, 7)
        with ledger.read() as connection:
            assert connection.execute(sa.select(tasks.c.failures, tasks.c.lost)).one() == (0, 0)
    else:
        with pytest.raises(StateConflict, match=f"is {state} and cannot be tried again"):
            ledger.apply(lambda c: commands.retry(c, task_id, now()))
        assert get(ledger, task_id).state == state


def test_what_has_expired_is_not_tried_again(ledger, add):
    task_id = add()
    put(ledger, task_id, State.FAILED, expires_at=now() - SECOND)
    with pytest.raises(StateConflict, match="has expired"):
        ledger.apply(lambda c: commands.retry(c, task_id, now()))


def test_what_has_lost_its_secret_is_not_tried_again(ledger, add):
    task_id = add(payload='{"link": {"$secret": 0}}')
    put(ledger, task_id, State.FAILED)
    with pytest.raises(StateConflict, match="its secret has been erased"):
        ledger.apply(lambda c: commands.retry(c, task_id, now()))
    put(ledger, task_id, State.FAILED, sealed=b"still there")
    ledger.apply(lambda c: commands.retry(c, task_id, now()))
    assert get(ledger, task_id).state == "queued"


def test_what_does_not_exist_is_said(ledger):
    for change in (commands.cancel, commands.retry):
        with pytest.raises(UnknownTask):
            ledger.apply(lambda c, change=change: change(c, new_id(), now()))
