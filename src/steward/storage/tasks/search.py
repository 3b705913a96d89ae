"""Reads tasks back: one with everything that is known of it, or a page of many, newest first."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from steward.errors import InvalidOption, UnknownFile, UnknownTask
from steward.model.caller import Caller, shown_name
from steward.model.results import Artifact, Outcome, TaskResult
from steward.model.service import Page, Query
from steward.model.states import OPEN, State
from steward.storage.database.schema.tables import actions, artifacts, deliveries, tasks
from steward.storage.tasks import reading
from steward.storage.tasks.artifacts import as_artifact
from steward.system.clock import micros, moment

MOST = 500


def get(connection: sa.Connection, task_id: str) -> TaskResult:
    """Return the task with its deliveries, artifacts and attempts.

    Raises:
        UnknownTask: no task has this id.
    """
    found = reading.rows(connection, sa.select(tasks).where(tasks.c.id == task_id))
    if not found:
        raise unknown(task_id)
    return reading.results(connection, found, with_attempts=True)[0]


def theirs(connection: sa.Connection, task_id: str, caller: Caller) -> str:
    """Return the name of a task that is `caller`'s to see.

    Raises:
        UnknownTask: it is not, or there is none: the words are the same, so that nothing is learnt.
    """
    row = connection.execute(sa.select(tasks.c.name, tasks.c.owner_id).where(tasks.c.id == task_id)).one_or_none()
    if row is None or not caller.sees(row.name, row.owner_id):
        raise unknown(task_id)
    return str(row.name)


def unknown(task_id: str) -> UnknownTask:
    """Return the error for a task that is not there, or not theirs."""
    return UnknownTask(
        f"There is no task '{task_id[:80]}'", remedy="Check the id; finished tasks are deleted after a while"
    )


def is_open(connection: sa.Connection, task_id: str) -> bool:
    """Return whether there is such a task, and something may yet happen to it by itself."""
    return connection.scalar(sa.select(tasks.c.state).where(tasks.c.id == task_id)) in OPEN


def find(connection: sa.Connection, query: Query) -> Page:
    """Return the page of tasks that `query` asks for.

    Raises:
        InvalidOption: an unknown state, a cursor that is none of ours, a blank value, a time or a text that no row can
            have.
    """
    unknown = sorted(set(query.states) - set(State))
    if unknown:
        raise InvalidOption(f"There is no state '{unknown[0][:40]}'", remedy=f"The states are {', '.join(State)}")
    if query.cursor is not None and not (len(query.cursor) == 36 and query.cursor.replace("-", "").isalnum()):
        raise InvalidOption("The cursor is not valid", remedy="Pass next_cursor as the page before gave it")
    for name in ("name", "recipient", "text"):
        value = getattr(query, name)
        if value is not None and not value.strip():
            raise InvalidOption(f"{name} has no value", "An empty one is found nowhere", f"Leave {name} out")
    limit = max(1, min(query.limit, MOST))
    rows = reading.rows(connection, _statement(query).limit(limit + 1))
    found = reading.results(connection, rows[:limit])
    return Page(tuple(found), rows[limit - 1].id if len(rows) > limit else None)


def _statement(query: Query) -> sa.Select[Any]:
    statement = sa.select(tasks).order_by(tasks.c.id.desc())
    if query.states:
        statement = statement.where(tasks.c.state.in_(query.states))
    if query.name:
        statement = statement.where(tasks.c.name == query.name)
    if query.recipient:
        address = query.recipient.lower()
        sent = sa.select(deliveries.c.task_id).where(deliveries.c.recipient.in_([query.recipient, address]))
        statement = statement.where(sa.or_(tasks.c.recipient == address, tasks.c.id.in_(sent)))
    if query.since:
        statement = statement.where(tasks.c.created_at >= _time("since", query.since))
    if query.until:
        statement = statement.where(tasks.c.created_at < _time("until", query.until))
    if query.requested_by is not None:
        query.requested_by.encode()  # half a character is no name that was shown; what is not printable is left out
        statement = statement.where(tasks.c.requested_by == shown_name(query.requested_by))
    statement = _within(statement, query.owner_id, query.only)
    if query.text:
        words = f"%{query.text.replace('%', '')}%"
        statement = statement.where(
            sa.or_(
                tasks.c.recipient.ilike(words),
                tasks.c.id.like(words),
                tasks.c.error.ilike(words),
                tasks.c.name.like(words),
            )
        )
    if query.cursor:
        statement = statement.where(tasks.c.id < query.cursor)
    return statement


def _time(name: str, value: datetime) -> int:
    try:
        return micros(value)
    except ValueError as error:
        raise InvalidOption(f"{name} cannot be used", str(error), "Write it like 2026-12-01T08:00:00Z") from error


def _within(statement: sa.Select[Any], owner_id: str | None, only: Collection[str] | None) -> sa.Select[Any]:
    if owner_id is not None:
        statement = statement.where(tasks.c.owner_id == owner_id)
    if only is not None:
        statement = statement.where(tasks.c.name.in_(only))
    return statement


def counts(
    connection: sa.Connection, owner_id: str | None = None, only: Collection[str] | None = None
) -> dict[str, int]:
    """Return how many tasks (of this owner, of these names, or all) there are in each state; every state is named."""
    found = dict.fromkeys((s.value for s in State), 0)
    statement = sa.select(tasks.c.state, sa.func.count().label("n")).group_by(tasks.c.state)
    return found | {row.state: row.n for row in connection.execute(_within(statement, owner_id, only))}


def count(connection: sa.Connection, state: State) -> int:
    """Return how many tasks are in one state; cheap where few are, however long the history."""
    # A literal, not a parameter: PostgreSQL and SQLite match a partial index only by what stands in the statement.
    wanted = tasks.c.state == sa.literal_column(f"'{state.value}'")
    return connection.scalar(sa.select(sa.func.count()).select_from(tasks).where(wanted)) or 0


def oldest_due(connection: sa.Connection) -> int | None:
    """Return since when the oldest task that is due and not begun has been so (microseconds); None if there is none."""
    oldest: int | None = connection.scalar(sa.select(sa.func.min(tasks.c.due_at)).where(tasks.c.state == State.QUEUED))
    return oldest


def history(connection: sa.Connection, task_id: str) -> list[dict[str, Any]]:
    """Return who did what to a task, oldest first: `at` (datetime), `actor`, `action`, `detail`."""
    rows = connection.execute(sa.select(actions).where(actions.c.task_id == task_id).order_by(actions.c.id))
    return [{"at": moment(r.at), "actor": r.actor, "action": r.action, "detail": r.detail} for r in rows]


def artifact(connection: sa.Connection, task_id: str, n: int) -> Artifact:
    """Return one artifact of a task.

    Raises:
        UnknownFile: the task has no such artifact.
    """
    row = connection.execute(
        sa.select(artifacts).where(artifacts.c.task_id == task_id, artifacts.c.n == n)
    ).one_or_none()
    if row is None:
        raise UnknownFile(f"The task '{task_id[:80]}' has no file number {n}")
    return as_artifact(row)


_OUTCOMES = sa.select(deliveries.c.outcome, sa.func.count().label("n")).group_by(deliveries.c.outcome)
# From the tasks that ended without success, which are few, to their copies: not from the copies to their tasks.
_GIVEN_UP = sa.text(
    "SELECT deliveries.outcome, count(*) AS n FROM tasks CROSS JOIN deliveries WHERE deliveries.task_id = tasks.id"
    " AND tasks.state IN ('failed', 'cancelled', 'expired', 'interrupted')"
    " AND deliveries.outcome IN ('deferred', 'pending') GROUP BY deliveries.outcome"
)


def outcomes(connection: sa.Connection) -> dict[str, int]:
    """Return how many copies have each outcome, as `get` would tell it."""
    found = {row.outcome: row.n for row in connection.execute(_OUTCOMES)}
    for row in connection.execute(_GIVEN_UP):
        found[row.outcome] -= row.n
        found[Outcome.UNSENT] = found.get(Outcome.UNSENT, 0) + row.n
    return found
