"""Takes tasks into the ledger: one commit for one or for thousands, an idempotency key at most once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.clock import SECOND, moment
from steward.errors import KeyConflict
from steward.ledger import flood
from steward.ledger.schema import actions, keys, tasks
from steward.results import TaskResult

KEY_LIFE = 48 * 3600 * SECOND
"""How long a key is kept, in microseconds: two days, where 24 hours are promised."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task to be accepted, every value in the ledger's own form."""

    id: str
    name: str
    state: str
    lane: str
    priority: int
    payload: str
    sealed: bytes | None
    recipient: str | None
    requested_by: str
    created_at: int
    due_at: int
    expires_at: int | None
    at_most: tuple[tuple[int, float], ...] = ()

    def row(self) -> dict[str, Any]:
        """Return the values by column."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "at_most"} | {"dated_at": self.due_at}

    def as_result(self) -> TaskResult:
        """Return the task as just accepted: known without reading it back, which would double a hand-over's cost."""
        return TaskResult(
            id=self.id,
            name=self.name,
            state=self.state,
            attempt=0,
            created_at=moment(self.created_at),
            due_at=moment(self.due_at),
            expires_at=moment(self.expires_at),
            lane=self.lane,
            priority=self.priority,
            requested_by=self.requested_by,
            payload=json.loads(self.payload),
        )


_INSERT = tasks.insert()


def accept(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Store `entries`; they are accepted when the transaction has been committed.

    Raises:
        RateLimited: there would be more for one recipient than the handler takes. Nothing was stored.
    """
    if any(entry.at_most for entry in entries):
        flood.refuse(connection, entries)
    connection.execute(_INSERT, [entry.row() for entry in entries])


def accept_once(connection: sa.Connection, entry: Entry, key: str, digest: str) -> tuple[str, bool]:
    """Store `entry` unless `key` has been used; return the id of the task that has the key, and whether it is new.

    Raises:
        KeyConflict: the key stands for another handler or payload.
        RateLimited: as `accept`; a repeat under a key that is in use is no new task, and not counted.
    """
    values = {"key": key, "task_id": entry.id, "digest": digest, "created_at": entry.created_at}
    # One statement decides who is first, on both databases; the others read what the first has written.
    insert = sa.text(
        "INSERT INTO idempotency_keys (key, task_id, digest, created_at) VALUES (:key, :task_id, :digest, :created_at)"
        " ON CONFLICT (key) DO NOTHING"
    )
    # In a savepoint: whoever hears RateLimited inside a transaction of their own must not commit a key without a task.
    with connection.begin_nested() if entry.at_most else nullcontext():
        if connection.execute(insert, values).rowcount:
            accept(connection, [entry])
            return entry.id, True
    found = connection.execute(sa.select(keys.c.task_id, keys.c.digest).where(keys.c.key == key)).one()
    if found.digest != digest:
        raise KeyConflict(
            f"The key '{key[:80]}' has been used for another request",
            f"It stands for the task {found.task_id}, which has another name or payload",
            "Use a new key for a new request",
        )
    return found.task_id, False


def forget_keys(connection: sa.Connection, now: int) -> int:
    """Delete keys older than `KEY_LIFE` and return how many there were."""
    return connection.execute(keys.delete().where(keys.c.created_at < now - KEY_LIFE)).rowcount


def note_action(
    connection: sa.Connection, action_id: str, task_id: str, at: int, actor: str, action: str, detail: str = ""
) -> None:
    """Record who did what to a task."""
    connection.execute(
        actions.insert().values(id=action_id, task_id=task_id, at=at, actor=actor, action=action, detail=detail)
    )
