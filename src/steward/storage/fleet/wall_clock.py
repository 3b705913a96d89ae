"""When the wall clock of the machine was set: waits go on by elapsed time, appointments by the wall clock.

The difference between the clock and the time since the machine started is kept for each host. Whoever first sees it
jump moves every wait along, in the commit that keeps the new one, so that it is done once.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from steward.storage.database.schema.tables import lanes, leases, tasks, workers
from steward.storage.fleet.heartbeat import LEASE
from steward.system.clock import SECOND, now

JUMP: Final = 2 * SECOND
"""Microseconds from which a difference is a jump: what keeps clocks right moves them by less each second."""
_MARK: Final = "clock "


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks of `host` at one moment, in microseconds; `boot` names the start from which `elapsed` counts."""

    host: str
    boot: str
    wall: int
    elapsed: int


def read(host: str) -> ClockReading:
    """Return what this machine's clocks say; elapsed time goes on while it sleeps (CLOCK_BOOTTIME)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "unknown"
    elapsed = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return ClockReading(host, boot, now(), elapsed)


def follow(connection: sa.Connection, reading: ClockReading) -> int:
    """Move every wait along if the clock was set since anybody looked; return by how many microseconds, mostly 0.

    Where workers of another host are at work too nothing is moved: their clock may be the right one.
    """
    duty = _MARK + hashlib.sha256(reading.host.encode()).hexdigest()[:32]
    offset = reading.wall - reading.elapsed
    kept = connection.execute(sa.select(leases.c.holder, leases.c.until).where(leases.c.duty == duty)).one_or_none()
    if kept is None:
        insert = sa.text(
            "INSERT INTO leases (duty, holder, until) VALUES (:duty, :holder, :until) ON CONFLICT (duty) DO NOTHING"
        )
        connection.execute(insert, {"duty": duty, "holder": reading.boot, "until": offset})
        return 0
    jump: int = offset - kept.until
    if kept.holder == reading.boot and abs(jump) < JUMP:
        return 0
    mine = leases.update().where(leases.c.duty == duty, leases.c.until == kept.until, leases.c.holder == kept.holder)
    if not connection.execute(mine.values(until=offset, holder=reading.boot)).rowcount or kept.holder != reading.boot:
        return 0
    others = sa.select(workers.c.id).where(workers.c.host != reading.host, workers.c.lease_until > reading.wall)
    if connection.execute(others.limit(1)).first() is not None:
        return 0
    _move(connection, jump, reading.wall)
    return jump


def _move(connection: sa.Connection, jump: int, now: int) -> None:
    retrying = tasks.update().where(tasks.c.state == "retrying")
    connection.execute(retrying.values(due_at=tasks.c.due_at + jump, started_at=tasks.c.started_at + jump))
    handed = tasks.update().where(tasks.c.handed_at.is_not(None), tasks.c.state == "queued")
    connection.execute(handed.values(handed_at=tasks.c.handed_at + jump))
    connection.execute(lanes.update().values(stopped_at=lanes.c.stopped_at + jump, try_at=lanes.c.try_at + jump))
    # What has been renewed by the new clock already is right as it is.
    for lease, life in ((workers.c.lease_until, LEASE), (leases.c.until, 4 * LEASE)):
        stale = lease > now + life if jump < 0 else sa.and_(lease <= now, lease > now - jump)
        change = lease.table.update().where(stale)
        if lease.table is leases:
            change = change.where(leases.c.duty.not_like(f"{_MARK}%"))
        connection.execute(change.values({lease.name: lease + jump}))
