"""Reads tasks back: one with everything that is known of it, or a page of many, newest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from steward.clock import micros, moment
from steward.errors import InvalidOption, UnknownTask
from steward.ledger.schema import actions, artifacts, attempts, deliveries, tasks
from steward.results import Artifact, Attempt, Delivery, Outcome, TaskResult
from steward.service import Page, Query
from steward.tasks import State

MOST = 500


def get(connection: sa.Connection, task_id: str) -> TaskResult:
    """Return the task with its deliveries, artifacts and attempts.

    Raises:
        UnknownTask: no task has this id.
    """
    row = connection.execute(sa.select(tasks).where(tasks.c.id == task_id)).one_or_none()
    if row is None:
        raise UnknownTask(
            f"There is no task '{task_id[:80]}'", remedy="Check the id; finished tasks are deleted after a while"
        )
    return _results(connection, [row], with_attempts=True)[0]


def find(connection: sa.Connection, query: Query) -> Page:
    """Return the page of tasks that `query` asks for.

    Raises:
        InvalidOption: an unknown state, or a cursor that is none of ours.
    """
    unknown = sorted(set(query.states) - set(State))
    if unknown:
        raise InvalidOption(f"There is no state '{unknown[0][:40]}'", remedy=f"The states are {', '.join(State)}")
    if query.cursor is not None and not (len(query.cursor) == 36 and query.cursor.replace("-", "").isalnum()):
        raise InvalidOption("The cursor is not valid", remedy="Pass next_cursor as the page before gave it")
    limit = max(1, min(query.limit, MOST))
    rows = connection.execute(_statement(query).limit(limit + 1)).all()
    found = _results(connection, rows[:limit])
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
        statement = statement.where(tasks.c.created_at >= micros(query.since))
    if query.until:
        statement = statement.where(tasks.c.created_at < micros(query.until))
    if query.requested_by:
        statement = statement.where(tasks.c.requested_by == query.requested_by)
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


def counts(connection: sa.Connection, requested_by: str | None = None) -> dict[str, int]:
    """Return how many tasks (of `requested_by`, or of all) there are in each state; every state is named."""
    found = dict.fromkeys((s.value for s in State), 0)
    statement = sa.select(tasks.c.state, sa.func.count().label("n")).group_by(tasks.c.state)
    if requested_by is not None:
        statement = statement.where(tasks.c.requested_by == requested_by)
    return found | {row.state: row.n for row in connection.execute(statement)}


def count(connection: sa.Connection, state: State) -> int:
    """Return how many tasks are in one state; cheap where few are, however long the history."""
    # A literal, not a parameter: PostgreSQL and SQLite match a partial index only by what stands in the statement.
    wanted = tasks.c.state == sa.literal_column(f"'{state.value}'")
    return connection.scalar(sa.select(sa.func.count()).select_from(tasks).where(wanted)) or 0


def history(connection: sa.Connection, task_id: str) -> list[dict[str, Any]]:
    """Return who did what to a task, oldest first: `at` (datetime), `actor`, `action`, `detail`."""
    rows = connection.execute(sa.select(actions).where(actions.c.task_id == task_id).order_by(actions.c.id))
    return [{"at": moment(r.at), "actor": r.actor, "action": r.action, "detail": r.detail} for r in rows]


def artifact(connection: sa.Connection, task_id: str, n: int) -> Artifact:
    """Return one artifact of a task.

    Raises:
        UnknownTask: the task has no such artifact.
    """
    row = connection.execute(
        sa.select(artifacts).where(artifacts.c.task_id == task_id, artifacts.c.n == n)
    ).one_or_none()
    if row is None:
        raise UnknownTask(f"The task '{task_id[:80]}' has no file number {n}")
    return Artifact(row.n, row.name, row.media_type, row.size, row.sha256, row.location, row.source or "")


def _results(connection: sa.Connection, rows: Sequence[Any], *, with_attempts: bool = False) -> list[TaskResult]:
    ids = [r.id for r in rows]
    sent = _by_task(connection, deliveries, ids, deliveries.c.n)
    kept = _by_task(connection, artifacts, ids, artifacts.c.n)
    runs = _by_task(connection, attempts, ids, attempts.c.number) if with_attempts else {}
    return [
        TaskResult(
            id=r.id,
            name=r.name,
            state=r.state,
            attempt=r.attempt,
            created_at=moment(r.created_at),
            due_at=moment(r.due_at),
            started_at=moment(r.started_at),
            finished_at=moment(r.finished_at),
            expires_at=moment(r.expires_at),
            progress=r.progress,
            progress_text=r.progress_text or "",
            error=r.error,
            note=r.note,
            lane=r.lane,
            priority=r.priority,
            requested_by=r.requested_by,
            worker=r.worker,
            payload=json.loads(r.payload),
            deliveries=tuple(
                Delivery(
                    n=d.n,
                    to=d.recipient,
                    outcome=Outcome(d.outcome),
                    message_id=d.message_id,
                    subject=d.subject,
                    code=d.code,
                    reply=d.reply or "",
                    possible_duplicate=d.possible_duplicate,
                    attempt=d.attempt,
                    at=moment(d.at),
                )
                for d in sent.get(r.id, ())
            ),
            artifacts=tuple(
                Artifact(a.n, a.name, a.media_type, a.size, a.sha256, a.location) for a in kept.get(r.id, ())
            ),
            attempts=tuple(
                Attempt(a.number, a.worker, moment(a.started_at), moment(a.finished_at), a.outcome, a.error or "")
                for a in runs.get(r.id, ())
            ),
        )
        for r in rows
    ]


def _by_task(connection: sa.Connection, table: sa.Table, ids: list[str], order: sa.Column[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if ids:
        columns = [c for c in table.c if c.name != "wire"]
        for row in connection.execute(sa.select(*columns).where(table.c.task_id.in_(ids)).order_by(order)):
            found.setdefault(row.task_id, []).append(row)
    return found
