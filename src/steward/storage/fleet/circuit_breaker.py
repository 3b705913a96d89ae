"""Mail's lane in the ledger, a circuit breaker that every worker shares: closed, doubted, open, and asking.

*Closed*: letters go. *Doubted*: the server could not be reached once or twice; letters go, and it is asked again soon.
*Open*, after the third time in a row, or at once where it refuses us: letters wait, and that is not counted against
them. Each half minute one worker claims the next question (*asking*); the answer closes the lane, or it stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database.schema.tables import attempts, lanes, tasks
from steward.system.clock import SECOND

MAIL: Final = "smtp"
"""Its name in the table; it stands for every lane that sends letters."""
SENDING: Final = ("urgent", "mail", "bulk")
"""The lanes whose tasks do nothing but send letters."""
IN_A_ROW: Final = 3
APART: Final = SECOND
"""Failures closer together than this (microseconds) are one: several lines are lost at once when a server goes down."""
AGAIN: Final = 2 * SECOND
"""After so long a server that could not be reached is asked again, and one that refused a letter by another letter."""
TRIAL: Final = 30 * SECOND
"""Microseconds between two questions while mail stands still."""

LINE, US = "line", "us"
"""Why it stands still or is doubted: the server cannot be reached, or it refuses us."""
STOOD_STILL, TURNED_AWAY = "stood still", "turned away"
"""How an attempt ended that is not held against its task: mail stood still, or its letter met the refusal of us."""


@dataclass(frozen=True, slots=True)
class CircuitBreakerState:
    """How the lane stands. `task_id` is whose letter was refused, where a letter was."""

    stopped_at: int | None = None
    reason: str = ""
    kind: str | None = None
    failures: int = 0
    try_at: int | None = None
    task_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether letters wait."""
        return self.stopped_at is not None

    @property
    def is_doubted(self) -> bool:
        """Whether it stands still, or could not be reached lately."""
        return self.is_open or self.failures > 0


_ROW = sa.select(lanes).where(lanes.c.name == MAIL)
_ITS = lanes.update().where(lanes.c.name == MAIL)


def standing(connection: sa.Connection) -> CircuitBreakerState:
    """Return how the lane stands."""
    row = connection.execute(_ROW).one_or_none()
    if row is None:
        return CircuitBreakerState()
    return CircuitBreakerState(row.stopped_at, row.reason or "", row.kind, row.failures, row.try_at, row.task_id)


def unreachable(connection: sa.Connection, reason: str, now: int) -> bool:
    """Count that the server could not be reached; return whether the lane stops with this, the third time in a row."""
    _make_sure(connection)
    values = {"reason": reason, "kind": LINE, "failed_at": now, "task_id": None}
    connection.execute(
        _ITS.where(lanes.c.stopped_at.is_(None), sa.func.coalesce(lanes.c.failed_at, 0) <= now - APART).values(
            {**values, "failures": lanes.c.failures + 1, "try_at": now + AGAIN}
        )
    )
    still = {**values, "failures": lanes.c.failures + 1, "try_at": now + TRIAL}
    connection.execute(_ITS.where(lanes.c.stopped_at.is_not(None), lanes.c.failed_at <= now - APART).values(still))
    third = _ITS.where(lanes.c.stopped_at.is_(None), lanes.c.failures >= IN_A_ROW)
    return bool(connection.execute(third.values(stopped_at=now, try_at=now + TRIAL)).rowcount)


def refused(connection: sa.Connection, reason: str, now: int, task_id: str | None = None) -> bool:
    """Let the lane stand still because the server refuses us; return whether it was moving.

    With `task_id` it was a letter of that task that met the refusal: another letter asks soon, for it may be meant.
    """
    _make_sure(connection)
    values = {"reason": reason, "kind": US, "task_id": task_id, "failed_at": now, "failures": lanes.c.failures + 1}
    soon = now + (AGAIN if task_id else TRIAL)
    stops = _ITS.where(lanes.c.stopped_at.is_(None)).values({**values, "stopped_at": now, "try_at": soon})
    if connection.execute(stops).rowcount:
        return True
    connection.execute(_ITS.values({**values, "try_at": now + TRIAL}))
    return False


def passed(connection: sa.Connection, now: int) -> bool:
    """Close the lane, and let what was put off for its sake go at once; return whether it had stood still."""
    was = standing(connection)
    if not was.is_doubted:
        return False
    moves = {"stopped_at": None, "reason": None, "kind": None, "failures": 0, "try_at": None, "task_id": None}
    connection.execute(_ITS.values({**moves, "failed_at": None, "passed_at": now}))
    last = sa.and_(attempts.c.task_id == tasks.c.id, attempts.c.number == tasks.c.attempt)
    connection.execute(
        tasks.update()
        .where(tasks.c.state == State.RETRYING, tasks.c.due_at > now)
        .where(sa.exists().where(last, attempts.c.outcome.in_([STOOD_STILL, TURNED_AWAY])))
        .values(due_at=now)
    )
    return was.is_open


def claim(connection: sa.Connection, now: int) -> CircuitBreakerState | None:
    """Return how the lane stands if a question is due and this caller is the one to put it, else None.

    Whoever claims it moves the next one on: a worker that dies with its question is followed by another.
    """
    due = sa.or_(lanes.c.stopped_at.is_not(None), lanes.c.failures > 0)
    claimed = _ITS.where(due, lanes.c.try_at <= now).values(try_at=now + TRIAL)
    return standing(connection) if connection.execute(claimed).rowcount else None


def ask_soon(connection: sa.Connection, now: int) -> None:
    """Move the next question nearer: there was no letter at hand to put this one with."""
    connection.execute(_ITS.where(lanes.c.stopped_at.is_not(None)).values(try_at=now + AGAIN))


def has_passed_since(connection: sa.Connection, task_id: str) -> bool:
    """Return whether other letters have passed since one of this task was turned away: then it is the task's matter."""
    last = connection.scalar(
        sa.select(sa.func.max(attempts.c.finished_at)).where(
            attempts.c.task_id == task_id, attempts.c.outcome == TURNED_AWAY
        )
    )
    moved = connection.scalar(sa.select(lanes.c.passed_at).where(lanes.c.name == MAIL))
    return last is not None and moved is not None and moved >= last


def letter_to_ask(connection: sa.Connection, not_first: str | None) -> str | None:
    """Return a queued task whose letter can ask; `not_first` only if there is no other."""
    queued = (
        sa.select(tasks.c.id)
        .where(tasks.c.state == State.QUEUED, tasks.c.worker.is_(None), tasks.c.lane.in_(SENDING))
        .order_by(sa.case((tasks.c.id == (not_first or ""), 1), else_=0), tasks.c.priority.desc(), tasks.c.due_at)
        .limit(1)
    )
    found: str | None = connection.scalar(queued)
    return found


def _make_sure(connection: sa.Connection) -> None:
    if connection.scalar(sa.select(lanes.c.name).where(lanes.c.name == MAIL)) is None:
        connection.execute(
            sa.text("INSERT INTO lanes (name, failures) VALUES (:name, 0) ON CONFLICT DO NOTHING"), {"name": MAIL}
        )
