"""Takes tasks into the ledger: one commit for one or for thousands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.model.results import TaskResult
from steward.storage.database import transitions
from steward.storage.database.schema.tables import actions, tasks
from steward.storage.tasks import rate_limit
from steward.system.clock import moment


@dataclass(frozen=True, slots=True)
class NewTask:
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
    owner_id: str = ""
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
            owner_id=self.owner_id,
            payload=json.loads(self.payload),
        )


_INSERT = tasks.insert()


def refuse(connection: sa.Connection, entry: NewTask, words: str, at: int) -> None:
    """Store a task that nobody was there to be refused: it has failed at once, and says why."""
    connection.execute(_INSERT, [entry.row()])
    connection.execute(tasks.update().where(tasks.c.id == entry.id).values(error=words, finished_at=at))
    transitions.note(connection, None, entry.state, [entry.id])


def accept(connection: sa.Connection, entries: Sequence[NewTask]) -> None:
    """Store `entries`; they are accepted when the transaction has been committed.

    Raises:
        RateLimited: there would be more for one recipient than the handler takes. Nothing was stored.
    """
    if any(entry.at_most for entry in entries):
        rate_limit.refuse(connection, entries)
    connection.execute(_INSERT, [entry.row() for entry in entries])
    if transitions.watched(connection):
        for entry in entries:
            transitions.note(connection, None, entry.state, [entry.id])


def known(connection: sa.Connection, ids: Iterable[str]) -> set[str]:
    """Return those of `ids` that are accepted: those of a transaction that is open, or was undone, are not."""
    return set(connection.scalars(sa.select(tasks.c.id).where(tasks.c.id.in_(list(ids)))))


def note_action(
    connection: sa.Connection, action_id: str, task_id: str, at: int, actor: str, action: str, detail: str = ""
) -> None:
    """Record who did what to a task."""
    connection.execute(
        actions.insert().values(id=action_id, task_id=task_id, at=at, actor=actor, action=action, detail=detail)
    )
