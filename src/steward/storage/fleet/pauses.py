"""What stands still for now, since when and why: mail whose server refuses us, a broker that is away."""

from __future__ import annotations

import sqlalchemy as sa

from steward.storage.database.schema.tables import lanes


def stop_lane(connection: sa.Connection, lane: str, reason: str, now: int, try_at: int) -> bool:
    """Let `lane` stand still until `try_at`; return whether it was moving before."""
    changed = connection.execute(
        lanes.update().where(lanes.c.name == lane, lanes.c.stopped_at.is_not(None)).values(reason=reason, try_at=try_at)
    ).rowcount
    if changed:
        return False
    connection.execute(lanes.delete().where(lanes.c.name == lane))
    connection.execute(lanes.insert().values(name=lane, stopped_at=now, reason=reason, try_at=try_at))
    return True


def start_lane(connection: sa.Connection, lane: str) -> bool:
    """Let `lane` move again; return whether it stood still."""
    return bool(connection.execute(lanes.delete().where(lanes.c.name == lane)).rowcount)


def stopped(connection: sa.Connection) -> dict[str, tuple[int, str]]:
    """Return the lanes that stand still: since when, and why."""
    rows = connection.execute(sa.select(lanes).where(lanes.c.stopped_at.is_not(None)))
    return {r.name: (r.stopped_at, r.reason) for r in rows}
