"""A worker's sign of life: each one extends its lease, and who is silent for too long loses what it holds."""

from __future__ import annotations

import sqlalchemy as sa

from steward.storage.database.schema.tables import workers
from steward.system.clock import SECOND

LEASE = 15 * SECOND
"""A worker that has not been heard of for so long (microseconds) loses what it holds."""


def beat(connection: sa.Connection, worker_id: str, now: int) -> bool:
    """Extend the lease of a worker; return False if the ledger does not know it any more."""
    return bool(
        connection.execute(
            workers.update().where(workers.c.id == worker_id).values(heartbeat_at=now, lease_until=now + LEASE)
        ).rowcount
    )


def retire(connection: sa.Connection, worker_ids: list[str]) -> None:
    """End the lease of workers known to be dead or leaving: it is set back to their last sign of life."""
    connection.execute(workers.update().where(workers.c.id.in_(worker_ids)).values(lease_until=workers.c.heartbeat_at))
