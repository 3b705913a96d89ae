"""Duties that one process has at a time, on whatever host: held by a lease, and soon another's if it is not renewed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from steward.storage.database.schema.tables import leases

# One statement decides, on both databases: the holder renews, and anybody takes what has run out.
_HOLD = sa.text(
    "INSERT INTO leases (duty, holder, until) VALUES (:duty, :holder, :until)"
    " ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, until = excluded.until"
    " WHERE leases.holder = excluded.holder OR leases.until <= :now"
)


def hold(connection: sa.Connection, duty: str, holder: str, now: int, until: int) -> bool:
    """Take or renew the lease of `duty` and return whether `holder` has it (until `until`, in microseconds)."""
    values = {"duty": duty, "holder": holder, "until": until, "now": now}
    return bool(connection.execute(_HOLD, values).rowcount)


def drop(connection: sa.Connection, holders: Sequence[str]) -> None:
    """Give back every lease of `holders`, who are leaving or dead."""
    connection.execute(leases.delete().where(leases.c.holder.in_(holders)))


def holder_of(connection: sa.Connection, duty: str, now: int) -> str | None:
    """Return who has `duty` just now, or None."""
    value: str | None = connection.scalar(sa.select(leases.c.holder).where(leases.c.duty == duty, leases.c.until > now))
    return value
