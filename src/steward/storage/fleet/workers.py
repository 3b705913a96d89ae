"""Who is at work: each worker, what it has in hand, and where to wake it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from steward.storage.database.schema.tables import tasks, workers
from steward.storage.fleet.heartbeat import LEASE


@dataclass(frozen=True, slots=True)
class RegisteredWorker:
    """One worker process as the ledger knows it."""

    id: str
    host: str
    slot: str
    pid: int
    engine: str
    started_at: int
    heartbeat_at: int
    lease_until: int
    nudge_port: int | None
    holding: int = 0


def register(
    connection: sa.Connection,
    worker_id: str,
    host: str,
    slot: str,
    pid: int,
    engine: str,
    nudge_port: int | None,
    now: int,
) -> None:
    """Enter a worker that has just started."""
    connection.execute(
        workers.insert().values(
            id=worker_id,
            host=host,
            slot=slot,
            pid=pid,
            engine=engine,
            started_at=now,
            heartbeat_at=now,
            lease_until=now + LEASE,
            nudge_port=nudge_port,
        )
    )


def of_slot(connection: sa.Connection, host: str, slot: str) -> list[str]:
    """Return the ids under which `slot` of `host` has been held by workers whose lease has not been ended."""
    return list(
        connection.scalars(
            sa.select(workers.c.id).where(
                workers.c.host == host,
                workers.c.slot == slot,
                sa.or_(
                    workers.c.lease_until > workers.c.heartbeat_at,
                    workers.c.id.in_(sa.select(tasks.c.worker).where(tasks.c.worker.is_not(None))),
                ),
            )
        )
    )


def living(connection: sa.Connection, now: int) -> list[RegisteredWorker]:
    """Return the workers whose lease runs, with how many tasks each has in hand."""
    held = (
        sa.select(tasks.c.worker, sa.func.count().label("holding"))
        .where(tasks.c.worker.is_not(None))
        .group_by(tasks.c.worker)
        .subquery()
    )
    rows = connection.execute(
        sa.select(workers, sa.func.coalesce(held.c.holding, 0).label("holding"))
        .outerjoin(held, held.c.worker == workers.c.id)
        .where(workers.c.lease_until > now)
        .order_by(workers.c.started_at)
    )
    names = RegisteredWorker.__slots__
    return [RegisteredWorker(**{name: getattr(r, name) for name in names}) for r in rows]


def nudge_ports(connection: sa.Connection, host: str, now: int) -> list[int]:
    """Return the loopback ports of the living workers on `host`."""
    found = connection.scalars(
        sa.select(workers.c.nudge_port).where(
            workers.c.host == host, workers.c.lease_until > now, workers.c.nudge_port.is_not(None)
        )
    )
    return [port for port in found if port is not None]


def prune(connection: sa.Connection, before: int) -> int:
    """Delete workers that ended before `before` and hold nothing; return how many."""
    return connection.execute(
        workers.delete().where(
            workers.c.lease_until < before,
            workers.c.id.not_in(sa.select(tasks.c.worker).where(tasks.c.worker.is_not(None))),
        )
    ).rowcount
