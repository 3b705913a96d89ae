"""Which files a task has made, and where the archive keeps them."""

from __future__ import annotations

import sqlalchemy as sa

from steward.ledger.schema import artifacts, tasks
from steward.results import Artifact
from steward.tasks import State


def record(connection: sa.Connection, task_id: str, claim: str, artifact: Artifact, now: int) -> bool:
    """Record a stored file; return False if the attempt is no longer the task's own."""
    held = sa.select(sa.literal(1)).where(tasks.c.id == task_id, tasks.c.claim == claim, tasks.c.state == State.RUNNING)
    if connection.scalar(held) is None:
        return False
    connection.execute(artifacts.delete().where(artifacts.c.task_id == task_id, artifacts.c.n == artifact.n))
    connection.execute(
        artifacts.insert().values(
            task_id=task_id,
            n=artifact.n,
            name=artifact.name,
            media_type=artifact.media_type,
            size=artifact.size,
            sha256=artifact.sha256,
            location=artifact.location,
            created_at=now,
        )
    )
    return True


def stored(connection: sa.Connection, task_id: str) -> dict[str, Artifact]:
    """Return the files already stored for a task, by name."""
    rows = connection.execute(sa.select(artifacts).where(artifacts.c.task_id == task_id))
    return {r.name: Artifact(r.n, r.name, r.media_type, r.size, r.sha256, r.location) for r in rows}
