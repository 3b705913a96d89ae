"""Cursors of data synchronisation: how far each has come, the page on its way, and what became of each item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database.schema.tables import cursors, synced, tasks


@dataclass(frozen=True, slots=True)
class StoredCursor:
    """A cursor as read. `position` and `pending` are the handler's own JSON values."""

    position: Any
    pending: Any
    sealed: bytes | None
    pages: int
    updated_at: int


NOWHERE = StoredCursor(None, None, None, 0, 0)


def read(connection: sa.Connection, name: str, scope: str) -> StoredCursor:
    """Return how far a cursor has come; `NOWHERE` if it has never moved."""
    row = connection.execute(sa.select(cursors).where(cursors.c.name == name, cursors.c.scope == scope)).one_or_none()
    if row is None:
        return NOWHERE
    return StoredCursor(_value(row.position), _value(row.pending), row.sealed, row.pages, row.updated_at)


def take(connection: sa.Connection, name: str, scope: str, task_id: str, claim: str, now: int) -> bool:
    """Give a cursor to an attempt; return False while another attempt that still runs has it."""
    insert = sa.text(
        "INSERT INTO cursors (name, scope, pages, updated_at) VALUES (:name, :scope, 0, :now)"
        " ON CONFLICT (name, scope) DO NOTHING"
    )
    connection.execute(insert, {"name": name, "scope": scope, "now": 0})
    running = sa.select(sa.literal(1)).where(
        tasks.c.id == cursors.c.task_id, tasks.c.claim == cursors.c.claim, tasks.c.state == State.RUNNING
    )
    free = sa.or_(cursors.c.task_id.is_(None), cursors.c.task_id == task_id, ~running.exists())
    change = _its(name, scope).where(free, _is_at_work(task_id, claim)).values(task_id=task_id, claim=claim)
    return bool(connection.execute(change).rowcount)


def write(
    connection: sa.Connection, name: str, scope: str, task_id: str, claim: str, values: Mapping[str, Any]
) -> bool:
    """Change a cursor if this attempt has it and is still the task's own; return whether that was so."""
    stored = {key: json.dumps(value) if key in ("position", "pending") else value for key, value in values.items()}
    held = sa.and_(cursors.c.task_id == task_id, cursors.c.claim == claim, _is_at_work(task_id, claim))
    return bool(connection.execute(_its(name, scope).where(held).values(**stored)).rowcount)


def record(
    connection: sa.Connection,
    name: str,
    scope: str,
    task_id: str,
    done: Mapping[str, str],
    refused: Mapping[str, str],
    now: int,
) -> None:
    """Store what became of items: the other side's name for each that it took, the reason for each that it did not."""
    rows: list[tuple[str, str | None, str | None]] = [(item, remote[:120], None) for item, remote in done.items()]
    rows += [(item, None, reason) for item, reason in refused.items()]
    if not rows:
        return
    upsert = sa.text(
        "INSERT INTO synced (name, scope, item, remote, error, task_id, at)"
        " VALUES (:name, :scope, :item, :remote, :error, :task_id, :at)"
        " ON CONFLICT (name, scope, item) DO UPDATE SET remote = excluded.remote, error = excluded.error,"
        " task_id = excluded.task_id, at = excluded.at"
    )
    shared = {"name": name, "scope": scope, "task_id": task_id, "at": now}
    connection.execute(upsert, [shared | {"item": i, "remote": r, "error": e} for i, r, e in rows])


def refused(connection: sa.Connection, name: str, scope: str) -> dict[str, str]:
    """Return the items that were refused last time: each with the reason."""
    rows = connection.execute(
        sa.select(synced.c.item, synced.c.error).where(
            synced.c.name == name, synced.c.scope == scope, synced.c.error.is_not(None)
        )
    )
    return {row.item: row.error for row in rows}


def _its(name: str, scope: str) -> sa.Update:
    return cursors.update().where(cursors.c.name == name, cursors.c.scope == scope)


def _is_at_work(task_id: str, claim: str) -> sa.ColumnElement[bool]:
    return (
        sa.select(sa.literal(1))
        .where(tasks.c.id == task_id, tasks.c.claim == claim, tasks.c.state == State.RUNNING)
        .exists()
    )


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
