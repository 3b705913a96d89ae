"""Schedules and their firings as rows. A firing's key is what makes it happen once, whoever looks, and how often."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from steward.errors import KeyConflict, StateConflict, UnknownSchedule
from steward.model.caller import Caller, shown_name
from steward.storage.database.schema.tables import firings, schedules
from steward.storage.tasks import idempotency

MOST_MISSED = 1000
"""How many missed runs are looked at: enough to say that there are many."""

_SPACE = uuid.UUID("5f0c1d9a-8b57-4c55-9c1f-6a3f0f0d7a55")


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule, every value in the ledger's own form. `next_at` is None while it is paused or never due again.

    `period` is one of `steward.model.periods.PERIODS`; `ended` says why there is nothing left to ask for.
    """

    id: str
    name: str
    origin: str
    cron: str
    zone: str
    missed: str
    payload: str
    owner: str
    created_at: int
    next_at: int | None
    paused_at: int | None = None
    paused_by: str | None = None
    owner_id: str = ""
    period: str = ""
    ended_at: int | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """What became of one time at which a schedule was due: `fired`, `missed`, `refused`, or `by hand`."""

    due_at: int
    outcome: str
    at: int
    task_id: str | None


def stable_id(*parts: str) -> str:
    """Return the id of what is declared with these words: every process finds the same (RFC 9562, version 5)."""
    return str(uuid.uuid5(_SPACE, "\n".join(parts)))


def add(connection: sa.Connection, entry: StoredSchedule) -> bool:
    """Store a schedule unless one has its id; return whether it is new."""
    columns = ", ".join(StoredSchedule.__slots__)
    values = ", ".join(f":{name}" for name in StoredSchedule.__slots__)
    insert = sa.text(f"INSERT INTO schedules ({columns}) VALUES ({values}) ON CONFLICT (id) DO NOTHING")
    return bool(connection.execute(insert, {name: getattr(entry, name) for name in StoredSchedule.__slots__}).rowcount)


def add_within(connection: sa.Connection, entry: StoredSchedule, most: int) -> bool:
    """Store a schedule as `add` does, unless its owner has `most` of them already.

    Raises:
        StateConflict: they have; nothing is to be committed.
    """
    with _counted(connection, entry.owner_id, most):
        return add(connection, entry)


def add_once(
    connection: sa.Connection, entry: StoredSchedule, most: int, key: idempotency.IdempotencyKey | None
) -> str:
    """Store a schedule as `add_within`, unless its owner has used `key`; return the id of the key's schedule.

    Raises:
        KeyConflict: the key stands for another request, or for a schedule that was deleted: a late repeat does not
            bring it back.
    """
    made, is_new = entry.id, True
    if key is not None:
        made, is_new = idempotency.schedule_once(connection, entry.id, key, entry.created_at)
    if is_new:
        add_within(connection, entry, most)
    elif connection.scalar(sa.select(schedules.c.id).where(schedules.c.id == made)) is None:
        raise KeyConflict(
            "The schedule that this key stands for was deleted", f"It was {made}", "Use a new key to make it again"
        )
    return made


@contextmanager
def _counted(connection: sa.Connection, owner_id: str, most: int) -> Iterator[None]:
    """Give the block to one transaction after the other, and refuse what it has added beyond `most`."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer, and it has begun
        lock = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
        connection.execute(lock, {"key": f"steward schedules {owner_id}"})
    count = sa.select(sa.func.count()).where(schedules.c.owner_id == owner_id, schedules.c.origin == "person")
    before = connection.scalar(count) or 0
    yield
    if (connection.scalar(count) or 0) > max(before, most):
        raise StateConflict(
            f"There are {before} schedules of yours already",
            f"One key or person may have {most} at once, paused ones too, so that nobody can fill the service's time",
            "Delete one that is not needed any more; an operator can raise STEWARD_SCHEDULES_PER_OWNER",
        )


def get(connection: sa.Connection, schedule_id: str) -> StoredSchedule:
    """Return one schedule.

    Raises:
        UnknownSchedule: there is none of this id.
    """
    row = connection.execute(sa.select(schedules).where(schedules.c.id == schedule_id)).one_or_none()
    if row is None:
        raise unknown(schedule_id)
    return StoredSchedule(**row._mapping)


def unknown(schedule_id: str) -> UnknownSchedule:
    """Return the error for a schedule that is not there, or not theirs."""
    return UnknownSchedule(f"There is no schedule '{schedule_id[:80]}'", remedy="List them with: steward schedule list")


def every(connection: sa.Connection, owner_id: str | None = None) -> list[StoredSchedule]:
    """Return all schedules, or those of one owner, in the order of their names."""
    statement = sa.select(schedules).order_by(schedules.c.name, schedules.c.created_at, schedules.c.id)
    if owner_id is not None:
        statement = statement.where(schedules.c.owner_id == owner_id)
    return [StoredSchedule(**row._mapping) for row in connection.execute(statement)]


def due(connection: sa.Connection, moment: int) -> list[StoredSchedule]:
    """Return the schedules that are due at `moment`, the longest due first."""
    statement = sa.select(schedules).where(schedules.c.next_at <= moment).order_by(schedules.c.next_at)
    return [StoredSchedule(**row._mapping) for row in connection.execute(statement)]


def move(connection: sa.Connection, schedule_id: str, seen: int | None, next_at: int | None) -> bool:
    """Set when a schedule is next due, if it is still due at `seen`; return whether it was."""
    changed = connection.execute(
        schedules.update()
        .where(schedules.c.id == schedule_id, schedules.c.next_at.is_not_distinct_from(seen))
        .values(next_at=next_at)
    )
    return bool(changed.rowcount)


def record(
    connection: sa.Connection, schedule_id: str, due_at: int, outcome: str, at: int, task_id: str | None
) -> bool:
    """Store a firing; return False if this schedule has fired for that moment before."""
    insert = sa.text(
        "INSERT INTO firings (schedule_id, due_at, outcome, at, task_id) VALUES (:id, :due_at, :outcome, :at, :task_id)"
        " ON CONFLICT (schedule_id, due_at) DO NOTHING"
    )
    values = {"id": schedule_id, "due_at": due_at, "outcome": outcome, "at": at, "task_id": task_id}
    return bool(connection.execute(insert, values).rowcount)


def latest(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Firing]:
    """Return the newest firing of each of these schedules that has any."""
    newest = (
        sa.select(firings.c.schedule_id, sa.func.max(firings.c.due_at).label("due_at"))
        .where(firings.c.schedule_id.in_(ids))
        .group_by(firings.c.schedule_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(firings).join(
            newest, sa.and_(firings.c.schedule_id == newest.c.schedule_id, firings.c.due_at == newest.c.due_at)
        )
    )
    return {row.schedule_id: Firing(row.due_at, row.outcome, row.at, row.task_id) for row in rows}


def history(connection: sa.Connection, schedule_id: str, limit: int = 50) -> list[Firing]:
    """Return the newest firings of a schedule, newest first."""
    rows = connection.execute(
        sa.select(firings).where(firings.c.schedule_id == schedule_id).order_by(firings.c.due_at.desc()).limit(limit)
    )
    return [Firing(row.due_at, row.outcome, row.at, row.task_id) for row in rows]


def missed_since(connection: sa.Connection, since: int) -> list[tuple[str, int, bool]]:
    """Return what was missed and recorded from `since` on, and not followed by a run in time.

    The schedule's name, the moment for which it was due, and whether its task was made afterwards.
    """
    later = firings.alias()
    in_time_since = sa.exists().where(
        later.c.schedule_id == firings.c.schedule_id, later.c.due_at > firings.c.due_at, later.c.outcome != "missed"
    )
    rows = connection.execute(
        sa.select(schedules.c.name, firings.c.due_at, firings.c.task_id)
        .join(schedules, schedules.c.id == firings.c.schedule_id)
        .where(firings.c.outcome == "missed", firings.c.at >= since, ~in_time_since)
        .order_by(firings.c.due_at)
        .limit(MOST_MISSED)
    )
    return [(row.name, row.due_at, row.task_id is not None) for row in rows]


def fired(connection: sa.Connection, schedule_id: str, since: int) -> set[int]:
    """Return the moments from `since` on for which the schedule has fired already."""
    statement = sa.select(firings.c.due_at).where(firings.c.schedule_id == schedule_id, firings.c.due_at >= since)
    return set(connection.scalars(statement))


def set_aside(connection: sa.Connection, schedule_id: str, since: int) -> None:
    """Let the firings after `since` make room: the clock was set back, and shows the same times once more.

    Each keeps its time but for a microsecond.
    """
    mine = firings.c.schedule_id == schedule_id
    for due_at in sorted(fired(connection, schedule_id, since), reverse=True):
        connection.execute(firings.update().where(mine, firings.c.due_at == due_at).values(due_at=due_at + 1))


def pause(connection: sa.Connection, schedule_id: str, by: str, moment: int) -> None:
    """Let a schedule rest; what falls into the rest is not counted as missed."""
    connection.execute(
        schedules.update()
        .where(schedules.c.id == schedule_id, schedules.c.paused_at.is_(None))
        .values(paused_at=moment, paused_by=shown_name(by), next_at=None)
    )


def take_over(connection: sa.Connection, schedule_id: str, caller: Caller, most: int) -> None:
    """Make a schedule `caller`'s. Raises as `add_within`."""
    with _counted(connection, caller.id, most):
        connection.execute(
            schedules.update()
            .where(schedules.c.id == schedule_id)
            .values(owner=shown_name(caller.name), owner_id=caller.id)
        )


def resume(connection: sa.Connection, schedule_id: str, next_at: int | None) -> None:
    """Let a schedule go on, whether it rested or had ended."""
    still = sa.or_(schedules.c.paused_at.is_not(None), schedules.c.ended_at.is_not(None))
    connection.execute(
        schedules.update()
        .where(schedules.c.id == schedule_id, still)
        .values(paused_at=None, paused_by=None, ended_at=None, ended=None, next_at=next_at)
    )


def end(connection: sa.Connection, schedule_id: str, why: str, moment: int) -> None:
    """Let a schedule be over, and say why: there is nothing left to ask for."""
    connection.execute(
        schedules.update().where(schedules.c.id == schedule_id).values(ended_at=moment, ended=why, next_at=None)
    )


def redeclare(connection: sa.Connection, entry: StoredSchedule) -> None:
    """Bring a declared schedule's policy, period and payload up to date; its pause and its next time stay."""
    connection.execute(
        schedules.update()
        .where(schedules.c.id == entry.id)
        .values(missed=entry.missed, payload=entry.payload, period=entry.period)
    )


def remove(connection: sa.Connection, ids: Sequence[str]) -> int:
    """Delete schedules with their firings; return how many there were. Tasks that they have made stay."""
    connection.execute(firings.delete().where(firings.c.schedule_id.in_(ids)))
    return connection.execute(schedules.delete().where(schedules.c.id.in_(ids))).rowcount


def forget_firings(connection: sa.Connection, before: int) -> int:
    """Delete firings recorded before `before`; return how many there were."""
    return connection.execute(firings.delete().where(firings.c.at < before)).rowcount
