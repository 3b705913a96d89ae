"""Takes tasks into the ledger: one commit for one or for thousands, an idempotency key at most once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.errors import KeyConflict
from steward.model.results import TaskResult
from steward.storage.database.tables import actions, keys, tasks
from steward.storage.tasks import rate_limit
from steward.system.clock import SECOND, moment, now

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


def refuse(connection: sa.Connection, entry: Entry, words: str, at: int) -> None:
    """Store a task that nobody was there to be refused: it has failed at once, and says why."""
    connection.execute(_INSERT, [entry.row()])
    connection.execute(tasks.update().where(tasks.c.id == entry.id).values(error=words, finished_at=at))


def accept(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Store `entries`; they are accepted when the transaction has been committed.

    Raises:
        RateLimited: there would be more for one recipient than the handler takes. Nothing was stored.
    """
    if any(entry.at_most for entry in entries):
        rate_limit.refuse(connection, entries)
    connection.execute(_INSERT, [entry.row() for entry in entries])


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: whose it is, and what it stands for.

    `digest` is that of the whole request; `earlier` that of its name and payload alone, as keys were compared that were
    kept before their callers were told apart.
    """

    caller_id: str
    text: str
    digest: str
    earlier: str = ""


def accept_once(connection: sa.Connection, entry: Entry, key: Key) -> tuple[str, bool]:
    """Store `entry` unless its caller has used `key`; return the id of the key's task, and whether it is new.

    Raises:
        KeyConflict: the key stands for another request.
        RateLimited: as `accept`; a repeat under a key that is in use is no new task, and not counted.
    """
    ids, created = accept_all_once(connection, [entry], key, many=False)
    return ids[0], created


def accept_all_once(
    connection: sa.Connection, entries: Sequence[Entry], key: Key, *, many: bool = True
) -> tuple[list[str], bool]:
    """Store all `entries` unless their caller has used `key`; return the ids of the key's tasks, and whether new.

    Raises as `accept_once`.
    """
    first, at = (entries[0].id, entries[0].created_at) if entries else ("", now())
    ids = json.dumps([entry.id for entry in entries]) if many else None
    limited = any(entry.at_most for entry in entries)
    # In a savepoint: whoever hears RateLimited inside a transaction of their own must not commit a key without a task.
    with connection.begin_nested() if limited else nullcontext():
        if _is_first(connection, key, first, at, ids=ids):
            if entries:
                accept(connection, entries)
            return [entry.id for entry in entries], True
    found = _standing_for(connection, key)
    return [found.task_id] if found.ids is None else json.loads(found.ids), False


def schedule_once(connection: sa.Connection, schedule_id: str, key: Key, at: int) -> tuple[str, bool]:
    """Return the id of the schedule that `key` stands for, and whether that is `schedule_id`, still to be stored.

    Raises:
        KeyConflict: the key stands for another request.
    """
    if _is_first(connection, key, schedule_id, at, kind="schedule"):
        return schedule_id, True
    return _standing_for(connection, key).task_id, False


def _is_first(
    connection: sa.Connection, key: Key, made: str, at: int, *, kind: str = "task", ids: str | None = None
) -> bool:
    """Keep `key` for what is `made`, unless its caller has used it; return whether it was kept."""
    # One statement decides who is first, on both databases; the others read what the first has written.
    insert = sa.text(
        "INSERT INTO idempotency_keys (caller_id, key, kind, task_id, ids, digest, created_at)"
        " VALUES (:caller_id, :key, :kind, :made, :ids, :digest, :at) ON CONFLICT (caller_id, key) DO NOTHING"
    )
    whose = {"caller_id": key.caller_id, "key": key.text, "digest": key.digest}
    return bool(connection.execute(insert, {**whose, "kind": kind, "made": made, "ids": ids, "at": at}).rowcount)


def _standing_for(connection: sa.Connection, key: Key) -> Any:
    """Return what was made under `key`, if the request was this one; else raise KeyConflict."""
    found = connection.execute(
        sa.select(keys.c.kind, keys.c.task_id, keys.c.ids, keys.c.digest).where(
            keys.c.caller_id == key.caller_id, keys.c.key == key.text
        )
    ).one()
    if found.digest not in (key.digest, key.earlier):
        raise KeyConflict(
            f"The key '{key.text[:80]}' has been used for another request",
            f"It stands for {'the tasks' if found.ids else f'the {found.kind}'} {found.task_id}"
            f"{' and others' if found.ids else ''}, handed over with another name, payload or option",
            "Use a new key for a new request",
        )
    return found


def known(connection: sa.Connection, ids: Iterable[str]) -> set[str]:
    """Return those of `ids` that are accepted: those of a transaction that is open, or was undone, are not."""
    return set(connection.scalars(sa.select(tasks.c.id).where(tasks.c.id.in_(list(ids)))))


def forget_keys(connection: sa.Connection, at: int) -> int:
    """Delete keys older than `KEY_LIFE` and return how many there were."""
    return connection.execute(keys.delete().where(keys.c.created_at < at - KEY_LIFE)).rowcount


def note_action(
    connection: sa.Connection, action_id: str, task_id: str, at: int, actor: str, action: str, detail: str = ""
) -> None:
    """Record who did what to a task."""
    connection.execute(
        actions.insert().values(id=action_id, task_id=task_id, at=at, actor=actor, action=action, detail=detail)
    )
