"""Tasks whose worker has died, left, or lost hold of them: freed for others, interrupted, or given up."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import sqlalchemy as sa

from steward.model.states import MAX_STARTS, State
from steward.storage.database import transitions
from steward.storage.database.schema.tables import attempts, deliveries, tasks
from steward.system.clock import SECOND
from steward.system.log_line import about

log = logging.getLogger("steward.tasks")


def release(connection: sa.Connection, workers: Sequence[str], now: int, *, counts: bool = True) -> tuple[int, int]:
    """Take tasks out of the hands of `workers`; return how many are queued again and how many are given up.

    A task that has been started `MAX_STARTS` times and ended its worker each time is a poison pill: it fails. A start
    is not held against a task whose letters were being sent (its handler had ended well), nor against one that has been
    suspected before and whose handler had not begun; nor, with `counts` false, if the worker leaves in good order.
    """
    held = tasks.c.worker.in_(workers)
    ran = sa.and_(held, tasks.c.state == State.RUNNING)
    before = transitions.states(connection, ran)
    left = attempts.c.task_id.in_(sa.select(tasks.c.id).where(ran))
    sent = sa.exists().where(deliveries.c.task_id == attempts.c.task_id, deliveries.c.attempt == attempts.c.number)
    innocent = sa.or_(attempts.c.outcome.in_(["waiting", "sending"]), sent) if counts else sa.true()
    connection.execute(
        attempts.update()
        .where(left, attempts.c.finished_at.is_(None))
        .values(
            finished_at=now,
            outcome=sa.case((innocent, "stopped"), else_="lost"),
            error="The worker died or froze" if counts else None,
        )
    )
    this = sa.and_(attempts.c.task_id == tasks.c.id, attempts.c.number == tasks.c.attempt)
    lost_now = sa.case((sa.exists().where(this, attempts.c.outcome == "lost"), 1), else_=0)
    words = f"Stopped after {MAX_STARTS} starts: each time the process that ran it died. Look at the handler."
    given_up = connection.execute(
        tasks.update()
        .where(ran, tasks.c.lost + lost_now >= MAX_STARTS)
        .values(
            state=State.FAILED,
            finished_at=now,
            lost=tasks.c.lost + lost_now,
            error=words,
            worker=None,
            claim=None,
            handed_at=None,
        )
        .returning(tasks.c.id, tasks.c.name, tasks.c.attempt)
    ).all()
    for row in given_up:
        log.info("failed: %s", words, extra=about(*row))
    again = connection.execute(
        tasks.update()
        .where(ran)
        .values(
            # From the second death on it waits a little: whatever kills workers one after the other then meets others.
            state=sa.case((tasks.c.lost + lost_now >= 2, State.RETRYING.value), else_=State.QUEUED.value),
            due_at=sa.case((tasks.c.lost + lost_now >= 2, now + 4 * SECOND), else_=tasks.c.due_at),
            lost=tasks.c.lost + lost_now,
            worker=None,
            claim=None,
            handed_at=None,
        )
    ).rowcount
    freed = connection.execute(
        tasks.update().where(held, tasks.c.state == State.QUEUED).values(worker=None, claim=None, handed_at=None)
    ).rowcount
    transitions.note_changes(connection, before)
    return again + freed, len(given_up)


def interrupt(connection: sa.Connection, now: int) -> int:
    """Mark queued and running tasks as interrupted; return how many. For an engine that forgets them at a stop."""
    left = tasks.c.state.in_([State.QUEUED, State.RUNNING])
    before = transitions.states(connection, left)
    connection.execute(
        attempts.update()
        .where(attempts.c.task_id.in_(sa.select(tasks.c.id).where(left)), attempts.c.finished_at.is_(None))
        .values(finished_at=now, outcome="interrupted")
    )
    found = connection.execute(
        tasks.update()
        .where(left)
        .values(
            state=State.INTERRUPTED,
            finished_at=now,
            error="The service stopped while this task was waiting or running. Try again if it should be done.",
            worker=None,
            claim=None,
        )
        .returning(tasks.c.id, tasks.c.name, tasks.c.attempt)
    ).all()
    for row in found:
        log.info("interrupted: the service stopped while it was waiting or running", extra=about(*row))
    transitions.note_changes(connection, before)
    return len(found)


def reopen(connection: sa.Connection, claims: set[tuple[str, str]], now: int) -> int:
    """Queue again the tasks (id and claim) whose attempt ended without a record; return how many still were so."""
    count = 0
    for task_id, claim in claims:
        again = tasks.update().where(tasks.c.id == task_id, tasks.c.claim == claim, tasks.c.state == State.RUNNING)
        if connection.execute(again.values(state=State.QUEUED, worker=None, claim=None, handed_at=None)).rowcount:
            count += 1
            transitions.note(connection, State.RUNNING, State.QUEUED, [task_id])
            connection.execute(
                attempts.update()
                .where(attempts.c.task_id == task_id, attempts.c.finished_at.is_(None))
                .values(finished_at=now, outcome="unrecorded", error="The store failed when this attempt ended")
            )
    return count
