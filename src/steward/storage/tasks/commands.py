"""What a person may do to a task: cancel it, or try it again. Conditional updates; finished tasks stay as they are."""

from __future__ import annotations

import sqlalchemy as sa

from steward.errors import StateConflict, UnknownTask
from steward.model.states import RETRYABLE, State, sources_of
from steward.storage.database import transitions
from steward.storage.database.schema.tables import attempts, deliveries, tasks
from steward.storage.tasks.deliveries import once_more


def state_of(connection: sa.Connection, task_id: str) -> State:
    """Return the task's state.

    Raises:
        UnknownTask: no task has this id.
        StateConflict: its state is none that this version knows.
    """
    state = connection.scalar(sa.select(tasks.c.state).where(tasks.c.id == task_id))
    if state is None:
        raise UnknownTask(
            f"There is no task '{task_id[:80]}'", remedy="Check the id; finished tasks are deleted after a while"
        )
    if state not in set(State):
        raise StateConflict(f"The task is in a state that is not known here: {state}", "A newer version has set it")
    return State(state)


def cancel(connection: sa.Connection, task_id: str, now: int) -> None:
    """Cancel a task that is not finished. A running one is stopped within a second; what was sent stays sent.

    Raises:
        UnknownTask: no task has this id.
        StateConflict: the task is finished.
    """
    before = transitions.states(connection, tasks.c.id == task_id)
    done = connection.execute(
        tasks.update()
        .where(tasks.c.id == task_id, tasks.c.state.in_(sources_of(State.CANCELLED)))
        .values(
            state=State.CANCELLED,
            finished_at=now,
            sealed=None,
            worker=None,
            claim=None,
            handed_at=None,
            progress_text=None,
        )
    ).rowcount
    if not done:
        state = state_of(connection, task_id)
        raise StateConflict(
            f"The task is {state} and cannot be cancelled", "Only a task that is not finished can be cancelled"
        )
    transitions.note_changes(connection, before)
    connection.execute(
        attempts.update()
        .where(attempts.c.task_id == task_id, attempts.c.finished_at.is_(None))
        .values(finished_at=now, outcome="cancelled")
    )
    connection.execute(
        deliveries.update()
        .where(deliveries.c.task_id == task_id, deliveries.c.outcome != "uncertain")
        .values(wire=None)
    )


def retry(connection: sa.Connection, task_id: str, now: int) -> None:
    """Queue a failed, interrupted, blocked or waiting task now. Who got their mail does not get it again.

    Raises:
        UnknownTask: no task has this id.
        StateConflict: the task's state does not allow it, or its time has passed.
    """
    if _secret_erased(connection, task_id):
        raise StateConflict(
            "The task cannot be tried again: its secret has been erased",
            "Secrets are kept for ten minutes after a task has ended",
            "Ask for a new one",
        )
    before = transitions.states(connection, tasks.c.id == task_id)
    done = connection.execute(
        tasks.update()
        .where(
            tasks.c.id == task_id,
            tasks.c.state.in_(RETRYABLE),
            sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at > now),
        )
        .values(
            state=State.QUEUED,
            due_at=now,
            finished_at=None,
            started_at=None,  # a new attempt's first: the policy's span counts from there
            failures=0,
            lost=0,
            error=None,
            worker=None,
            claim=None,
            handed_at=None,
            progress=None,
        )
    ).rowcount
    if done:
        transitions.note_changes(connection, before)
        # A person has looked: a refused copy gets another chance, and an uncertain one may be sent twice.
        again = deliveries.update().where(deliveries.c.task_id == task_id)
        connection.execute(again.where(deliveries.c.outcome == "refused").values(outcome="deferred"))
        connection.execute(
            again.where(deliveries.c.outcome == "uncertain").values(
                outcome="deferred", possible_duplicate=True, uncertain=once_more()
            )
        )
        return
    state = state_of(connection, task_id)
    if state in RETRYABLE:
        raise StateConflict("The task has expired and cannot be tried again", "Nothing is sent after expires_at")
    raise StateConflict(
        f"The task is {state} and cannot be tried again",
        f"Only {', '.join(sorted(RETRYABLE))} tasks can",
        "Ask for a new task instead" if state in (State.SUCCEEDED, State.CANCELLED, State.EXPIRED) else "",
    )


def _secret_erased(connection: sa.Connection, task_id: str) -> bool:
    return bool(
        connection.scalar(
            sa.select(sa.literal(1)).where(
                tasks.c.id == task_id,
                tasks.c.state.in_([State.FAILED, State.INTERRUPTED]),
                tasks.c.sealed.is_(None),
                tasks.c.payload.like('%{"$secret":%'),
            )
        )
    )
