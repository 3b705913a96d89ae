"""What is due: waiting tasks wake, expired ones end, queued ones are taken in hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from steward.ledger.schema import lanes, tasks, workers
from steward.tasks import State

EXPIRED = "Nobody could finish it before it expired; nothing is sent after that."


@dataclass(frozen=True, slots=True)
class Due:
    """A task taken in hand; `suspect` if a process died while it ran, so that it now runs alone."""

    id: str
    suspect: bool


def anything(connection: sa.Connection, now: int) -> bool:
    """Return whether there may be something to do: a cheap read, so that an idle relay writes nothing."""
    return bool(
        connection.scalar(
            sa.select(
                sa.or_(
                    sa.exists().where(tasks.c.state == State.QUEUED, tasks.c.worker.is_(None)),
                    sa.exists().where(tasks.c.state.in_([State.SCHEDULED, State.RETRYING]), tasks.c.due_at <= now),
                    sa.exists().where(
                        tasks.c.expires_at.is_not(None),
                        tasks.c.expires_at <= now,
                        tasks.c.state.in_([State.SCHEDULED, State.QUEUED, State.RETRYING, State.BLOCKED]),
                    ),
                    sa.exists().where(tasks.c.worker.is_not(None), tasks.c.worker.not_in(living(now))),
                )
            )
        )
    )


def living(now: int) -> sa.Select[tuple[str]]:
    """Return the query for the ids of workers whose lease still runs."""
    return sa.select(workers.c.id).where(workers.c.lease_until > now)


def dead_holders(connection: sa.Connection, now: int) -> list[str]:
    """Return workers that hold tasks but whose lease is over."""
    held = sa.select(tasks.c.worker).where(tasks.c.worker.is_not(None)).distinct()
    return [w for w in connection.scalars(held.where(tasks.c.worker.not_in(living(now)))) if w is not None]


def wake(connection: sa.Connection, now: int) -> int:
    """Queue scheduled and retrying tasks whose time has come; return how many."""
    return connection.execute(
        tasks.update()
        .where(tasks.c.state.in_([State.SCHEDULED, State.RETRYING]), tasks.c.due_at <= now)
        .values(state=State.QUEUED, worker=None, handed_at=None)
    ).rowcount


def expire(connection: sa.Connection, now: int) -> int:
    """End waiting tasks whose `expires_at` has passed; return how many."""
    return connection.execute(
        tasks.update()
        .where(
            tasks.c.expires_at.is_not(None),
            tasks.c.expires_at <= now,
            tasks.c.state.in_([State.SCHEDULED, State.QUEUED, State.RETRYING, State.BLOCKED]),
        )
        .values(state=State.EXPIRED, finished_at=now, error=EXPIRED, sealed=None, worker=None, handed_at=None)
    ).rowcount


def take(
    connection: sa.Connection, lane: str, most: int, worker: str | None, now: int, stale_before: int | None = None
) -> list[Due]:
    """Take up to `most` queued tasks of `lane` in hand, highest priority and longest waiting first; return them.

    With `worker` None they are handed to a broker: one that was handed over before `stale_before` is taken again.
    """
    free: sa.ColumnElement[bool] = tasks.c.worker.is_(None)
    if stale_before is not None:
        free = sa.and_(free, sa.or_(tasks.c.handed_at.is_(None), tasks.c.handed_at < stale_before))
    chosen = (
        sa.select(tasks.c.id)
        .where(tasks.c.state == State.QUEUED, tasks.c.lane == lane, free)
        .order_by(tasks.c.priority.desc(), tasks.c.due_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(
        tasks.update()
        .where(tasks.c.id.in_(chosen))
        .values(worker=worker, handed_at=now)
        .returning(tasks.c.id, tasks.c.lost, tasks.c.priority, tasks.c.due_at)
    ).all()
    return [Due(r.id, r.lost > 0) for r in sorted(found, key=lambda r: (-r.priority, r.due_at))]


def next_moment(connection: sa.Connection) -> int | None:
    """Return when the next waiting task is due, in microseconds, or None."""
    value: int | None = connection.scalar(
        sa.select(sa.func.min(tasks.c.due_at)).where(tasks.c.state.in_([State.SCHEDULED, State.RETRYING]))
    )
    return value


def unblock(connection: sa.Connection, names: Sequence[str]) -> int:
    """Queue the held tasks whose handler is back; return how many."""
    return connection.execute(
        tasks.update()
        .where(tasks.c.state == State.BLOCKED, tasks.c.name.in_(names))
        .values(state=State.QUEUED, error=None)
    ).rowcount


def stopped_lanes(connection: sa.Connection) -> dict[str, str]:
    """Return the lanes that stand still, with the reason; `smtp` stands for every lane that sends letters."""
    found = connection.execute(sa.select(lanes.c.name, lanes.c.reason).where(lanes.c.stopped_at.is_not(None)))
    return {r.name: r.reason for r in found}


def hand_back(connection: sa.Connection, worker: str) -> None:
    """Take every queued task out of `worker`'s hand."""
    connection.execute(
        tasks.update()
        .where(tasks.c.worker == worker, tasks.c.state == State.QUEUED)
        .values(worker=None, handed_at=None)
    )


def give_back(connection: sa.Connection, ids: Sequence[str], worker: str) -> None:
    """Take queued tasks out of `worker`'s hand again."""
    connection.execute(
        tasks.update()
        .where(tasks.c.id.in_(ids), tasks.c.worker == worker, tasks.c.state == State.QUEUED)
        .values(worker=None, handed_at=None)
    )


def queued(connection: sa.Connection) -> list[Due]:
    """Return every queued task that nobody has in hand, in the order in which they are due."""
    rows = connection.execute(
        sa.select(tasks.c.id, tasks.c.lost)
        .where(tasks.c.state == State.QUEUED, tasks.c.worker.is_(None))
        .order_by(tasks.c.priority.desc(), tasks.c.due_at)
    )
    return [Due(r.id, r.lost > 0) for r in rows]
