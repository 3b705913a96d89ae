"""What is due: waiting tasks wake, expired ones end, queued ones are taken in hand."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from steward.model.declaration.queues import QUEUES
from steward.model.states import State
from steward.storage.database import transitions
from steward.storage.database.schema.tables import lanes, tasks, workers
from steward.system.log_line import about

log = logging.getLogger("steward.tasks")

EXPIRED = "Nobody could finish it before it expired; nothing is sent after that."


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task taken in hand, and how many processes have died while it ran."""

    id: str
    lost: int = 0

    @property
    def suspect(self) -> bool:
        """Whether it may be what killed them, so that it now runs alone."""
        return self.lost > 0


class _Statement:
    """A statement, built once; `<index>` behind a table is the index by which SQLite must read it, and nobody else.

    It would take the index on `state`, and read all that waits (measured: 30 ms for 20,000 tasks, where 0.1 ms does).
    """

    def __init__(self, sql: str) -> None:
        self._sqlite = sa.text(re.sub(r"<(\w+)>", r"INDEXED BY \1", sql))
        self._other = sa.text(re.sub(r" <\w+>", "", sql))

    def on(self, connection: sa.Connection) -> sa.TextClause:
        """Return it as the database of `connection` wants it."""
        return self._sqlite if connection.dialect.name == "sqlite" else self._other


# Built once: to build a statement takes SQLAlchemy longer than SQLite needs to answer it (a measured finding).
# The conditions stand word for word as in the partial indexes, else SQLite cannot use those.
_WOKEN = "tasks <ix_tasks_waiting> WHERE state IN ('scheduled', 'retrying') AND due_at <= :now"
_OVER = (
    "tasks <ix_tasks_expiring> WHERE expires_at IS NOT NULL"
    " AND state IN ('scheduled', 'queued', 'retrying', 'blocked') AND expires_at <= :now"
)
_LEFT = "tasks WHERE worker IS NOT NULL AND worker NOT IN (SELECT id FROM workers WHERE lease_until > :now)"
_QUEUED = "tasks <ix_tasks_queued> WHERE state = 'queued' AND lane = '{}' AND worker IS NULL"
_LOOK = _Statement(
    "SELECT "
    + ", ".join(
        f"(SELECT 1 FROM {found} LIMIT 1)"
        for found in (_WOKEN, _OVER, _LEFT, *(_QUEUED.format(lane) for lane in QUEUES))
    )
)
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_LIVING = sa.select(workers.c.id).where(workers.c.lease_until > _NOW)
_HOLDERS = sa.select(tasks.c.worker).where(tasks.c.worker.is_not(None)).distinct().where(tasks.c.worker.not_in(_LIVING))


def anything(connection: sa.Connection, now: int) -> bool:
    """Return whether there may be something to do: a cheap read, so that an idle dispatcher writes nothing."""
    return not look(connection, now).nothing


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """What there is to do: for which lanes tasks wait, and whether some wake, expire, or are in hands maybe dead."""

    lanes: frozenset[str]
    wakes: bool
    expires: bool
    dead: bool

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.lanes or self.wakes or self.expires or self.dead)


def look(connection: sa.Connection, now: int) -> QueueOverview:
    """Return what there is to do: one cheap read, so that only what is needed is written."""
    wakes, expires, dead, *waiting = connection.execute(_LOOK.on(connection), {"now": now}).one()
    return QueueOverview(
        frozenset(lane for lane, waits in zip(QUEUES, waiting, strict=True) if waits),
        bool(wakes),
        bool(expires),
        bool(dead),
    )


def dead_holders(connection: sa.Connection, now: int) -> list[str]:
    """Return workers that hold tasks but whose lease is over."""
    return [w for w in connection.scalars(_HOLDERS, {"now": now}) if w is not None]


def left_behind(connection: sa.Connection, now: int) -> dict[str, int]:
    """Return how many tasks each worker whose lease is over still holds."""
    gone = (tasks.c.worker.is_not(None), tasks.c.worker.not_in(_LIVING))
    statement = sa.select(tasks.c.worker, sa.func.count().label("n")).where(*gone).group_by(tasks.c.worker)
    return {r.worker: r.n for r in connection.execute(statement, {"now": now})}


_WAKES, _EXPIRES = (_Statement(f"SELECT id, state FROM {which}") for which in (_WOKEN, _OVER))
_WAKE = _Statement(
    f"UPDATE tasks SET state = 'queued', worker = NULL, handed_at = NULL WHERE id IN (SELECT id FROM {_WOKEN})"
)


def wake(connection: sa.Connection, now: int) -> int:
    """Queue scheduled and retrying tasks whose time has come; return how many."""
    before = transitions.selected(connection, _WAKES.on(connection), {"now": now})
    woken = connection.execute(_WAKE.on(connection), {"now": now}).rowcount
    transitions.note_changes(connection, before)
    return woken


_EXPIRE = _Statement(
    "UPDATE tasks SET state = 'expired', finished_at = :now, error = :error, sealed = NULL, worker = NULL,"
    f" handed_at = NULL WHERE id IN (SELECT id FROM {_OVER}) RETURNING id, name"
)


def expire(connection: sa.Connection, now: int) -> int:
    """End waiting tasks whose `expires_at` has passed; return how many."""
    before = transitions.selected(connection, _EXPIRES.on(connection), {"now": now})
    found = connection.execute(_EXPIRE.on(connection), {"now": now, "error": EXPIRED}).all()
    transitions.note_changes(connection, before)
    for row in found:
        log.info("expired: %s", EXPIRED, extra=about(*row))
    return len(found)


def _taking(free: sa.ColumnElement[bool]) -> ReturningUpdate[Any]:
    chosen = (
        sa.select(tasks.c.id)
        .where(tasks.c.state == State.QUEUED, tasks.c.lane == sa.bindparam("b_lane"), free)
        .order_by(tasks.c.priority.desc(), tasks.c.due_at)
        .limit(sa.bindparam("b_most", type_=sa.Integer))
        .with_for_update(skip_locked=True)
    )
    return (
        tasks.update()
        .where(tasks.c.id.in_(chosen))
        .values(worker=sa.bindparam("b_worker"), handed_at=_NOW)
        .returning(tasks.c.id, tasks.c.lost, tasks.c.priority, tasks.c.due_at)
    )


_TAKE = _taking(tasks.c.worker.is_(None))
_TAKE_STALE = _taking(
    sa.and_(
        tasks.c.worker.is_(None),
        sa.or_(tasks.c.handed_at.is_(None), tasks.c.handed_at < sa.bindparam("b_before", type_=sa.BigInteger)),
    )
)


def take(
    connection: sa.Connection, lane: str, most: int, worker: str | None, now: int, stale_before: int | None = None
) -> list[ClaimedTask]:
    """Take up to `most` queued tasks of `lane` in hand, highest priority and longest waiting first; return them.

    With `worker` None they are handed to a broker: one that was handed over before `stale_before` is taken again.
    """
    values: dict[str, object] = {"b_lane": lane, "b_most": most, "b_worker": worker, "now": now}
    if stale_before is None:
        found = connection.execute(_TAKE, values).all()
    else:
        found = connection.execute(_TAKE_STALE, values | {"b_before": stale_before}).all()
    return [ClaimedTask(r.id, r.lost) for r in sorted(found, key=lambda r: (-r.priority, r.due_at))]


def at_broker(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    """Return how many tasks of each lane lie with a broker, and since when the oldest does."""
    handed = (tasks.c.state == State.QUEUED, tasks.c.worker.is_(None), tasks.c.handed_at.is_not(None))
    rows = connection.execute(
        sa.select(tasks.c.lane, sa.func.count().label("n"), sa.func.min(tasks.c.handed_at).label("since"))
        .where(*handed)
        .group_by(tasks.c.lane)
    )
    return {r.lane: (r.n, r.since) for r in rows}


def take_again(connection: sa.Connection, lane: str, before: int, now: int, most: int) -> list[ClaimedTask]:
    """Take up to `most` tasks of `lane` that were handed to a broker before `before`, and not begun since."""
    chosen = (
        sa.select(tasks.c.id)
        .where(
            tasks.c.state == State.QUEUED,
            tasks.c.worker.is_(None),
            tasks.c.handed_at < before,
            tasks.c.lane == lane,
        )
        .order_by(tasks.c.handed_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(
        tasks.update().where(tasks.c.id.in_(chosen)).values(handed_at=now).returning(tasks.c.id, tasks.c.lost)
    )
    return [ClaimedTask(r.id, r.lost) for r in found]


def suspects(connection: sa.Connection) -> int:
    """Return how many tasks are with a broker or running in whose hand more than one process has died."""
    at_broker = (tasks.c.state == State.QUEUED, tasks.c.worker.is_(None), tasks.c.handed_at.is_not(None))
    begun = (tasks.c.worker.is_not(None), tasks.c.state == State.RUNNING)
    counts = [sa.select(sa.func.count()).where(tasks.c.lost > 1, *where) for where in (at_broker, begun)]
    return sum(connection.scalar(count) or 0 for count in counts)


def running(connection: sa.Connection) -> dict[str, int]:
    """Return how many tasks of each lane are being performed."""
    rows = connection.execute(
        sa.select(tasks.c.lane, sa.func.count().label("n"))
        .where(tasks.c.worker.is_not(None), tasks.c.state == State.RUNNING)
        .group_by(tasks.c.lane)
    )
    return {r.lane: r.n for r in rows}


_NEXT = _Statement(
    "SELECT due_at FROM tasks <ix_tasks_waiting> WHERE state IN ('scheduled', 'retrying') ORDER BY due_at LIMIT 1"
)


def next_moment(connection: sa.Connection) -> int | None:
    """Return when the next waiting task is due, in microseconds, or None."""
    value: int | None = connection.scalar(_NEXT.on(connection))
    return value


def unblock(connection: sa.Connection, names: Sequence[str]) -> int:
    """Queue the held tasks whose handler is back; return how many."""
    held = tasks.c.state == State.BLOCKED, tasks.c.name.in_(names)
    before = transitions.states(connection, *held)
    count = connection.execute(tasks.update().where(*held).values(state=State.QUEUED, error=None)).rowcount
    transitions.note_changes(connection, before)
    return count


_STOPPED = sa.select(lanes.c.name, lanes.c.reason).where(lanes.c.stopped_at.is_not(None))


def stopped_lanes(connection: sa.Connection) -> dict[str, str]:
    """Return the lanes that stand still, with the reason; `smtp` stands for every lane that sends letters."""
    return {r.name: r.reason for r in connection.execute(_STOPPED)}


def hand_back(connection: sa.Connection, worker: str) -> None:
    """Take every queued task out of `worker`'s hand."""
    connection.execute(
        tasks.update()
        .where(tasks.c.worker == worker, tasks.c.state == State.QUEUED)
        .values(worker=None, handed_at=None)
    )


_HELD = sa.select(tasks.c.id).where(tasks.c.worker == sa.bindparam("b_worker"), tasks.c.state == State.QUEUED)


def held_by(connection: sa.Connection, worker: str) -> set[str]:
    """Return the tasks that `worker` has taken in hand and not begun."""
    return set(connection.scalars(_HELD, {"b_worker": worker}))


def give_back(connection: sa.Connection, ids: Sequence[str], worker: str | None) -> None:
    """Take queued tasks out of `worker`'s hand again; with None, back from the broker."""
    connection.execute(
        tasks.update()
        .where(tasks.c.id.in_(ids), tasks.c.worker == worker, tasks.c.state == State.QUEUED)
        .values(worker=None, handed_at=None)
    )


def queued(connection: sa.Connection) -> list[ClaimedTask]:
    """Return every queued task that nobody has in hand, in the order in which they are due."""
    rows = connection.execute(
        sa.select(tasks.c.id, tasks.c.lost)
        .where(tasks.c.state == State.QUEUED, tasks.c.worker.is_(None))
        .order_by(tasks.c.priority.desc(), tasks.c.due_at)
    )
    return [ClaimedTask(r.id, r.lost) for r in rows]
