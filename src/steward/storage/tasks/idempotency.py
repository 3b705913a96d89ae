"""Idempotency keys: what is asked for again under a key has been accepted once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.errors import KeyConflict
from steward.storage.database.schema.tables import keys
from steward.storage.tasks.acceptance import NewTask, accept
from steward.system.clock import SECOND, now

KEY_LIFE = 48 * 3600 * SECOND
"""How long a key is kept, in microseconds: two days, where 24 hours are promised."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """An idempotency key: whose it is, and what it stands for.

    `digest` is that of the whole request; `earlier` that of its name and payload alone, as keys were compared that were
    kept before their callers were told apart.
    """

    caller_id: str
    text: str
    digest: str
    earlier: str = ""


def accept_once(connection: sa.Connection, entry: NewTask, key: IdempotencyKey) -> tuple[str, bool]:
    """Store `entry` unless its caller has used `key`; return the id of the key's task, and whether it is new.

    Raises:
        KeyConflict: the key stands for another request.
        RateLimited: as `accept`; a repeat under a key that is in use is no new task, and not counted.
    """
    ids, created = accept_all_once(connection, [entry], key, many=False)
    return ids[0], created


def accept_all_once(
    connection: sa.Connection, entries: Sequence[NewTask], key: IdempotencyKey, *, many: bool = True
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


def schedule_once(connection: sa.Connection, schedule_id: str, key: IdempotencyKey, at: int) -> tuple[str, bool]:
    """Return the id of the schedule that `key` stands for, and whether that is `schedule_id`, still to be stored.

    Raises:
        KeyConflict: the key stands for another request.
    """
    if _is_first(connection, key, schedule_id, at, kind="schedule"):
        return schedule_id, True
    return _standing_for(connection, key).task_id, False


def _is_first(
    connection: sa.Connection,
    key: IdempotencyKey,
    made: str,
    at: int,
    *,
    kind: str = "task",
    ids: str | None = None,
) -> bool:
    """Keep `key` for what is `made`, unless its caller has used it; return whether it was kept."""
    # One statement decides who is first, on both databases; the others read what the first has written.
    insert = sa.text(
        "INSERT INTO idempotency_keys (caller_id, key, kind, task_id, ids, digest, created_at)"
        " VALUES (:caller_id, :key, :kind, :made, :ids, :digest, :at) ON CONFLICT (caller_id, key) DO NOTHING"
    )
    whose = {"caller_id": key.caller_id, "key": key.text, "digest": key.digest}
    return bool(connection.execute(insert, {**whose, "kind": kind, "made": made, "ids": ids, "at": at}).rowcount)


def _standing_for(connection: sa.Connection, key: IdempotencyKey) -> Any:
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


def forget_keys(connection: sa.Connection, at: int) -> int:
    """Delete keys older than `KEY_LIFE` and return how many there were."""
    return connection.execute(keys.delete().where(keys.c.created_at < at - KEY_LIFE)).rowcount
