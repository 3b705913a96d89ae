"""Which files a task has made, and where the archive keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from steward.model.results import Artifact
from steward.model.states import State
from steward.storage.database.schema.tables import artifacts, tasks


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
            source=artifact.source,
            boxes=",".join(artifact.boxes) or None,
        )
    )
    return True


def stored(connection: sa.Connection, task_id: str) -> list[Artifact]:
    """Return the files already stored for a task, in the order of their numbers."""
    rows = connection.execute(sa.select(artifacts).where(artifacts.c.task_id == task_id).order_by(artifacts.c.n))
    return [as_artifact(row) for row in rows]


class StoredArtifact(NamedTuple):
    """A file of whichever task: where the archive keeps it, and the SHA-256 that it must have."""

    task_id: str
    location: str
    sha256: str


def every(connection: sa.Connection) -> list[StoredArtifact]:
    """Return all files that are stored, of all tasks."""
    columns = (artifacts.c.task_id, artifacts.c.location, artifacts.c.sha256)
    return [StoredArtifact(*row) for row in connection.execute(sa.select(*columns))]


def as_artifact(row: Any) -> Artifact:
    """Return the file that a row stands for."""
    boxes = tuple(row.boxes.split(",")) if row.boxes else ()
    return Artifact(row.n, row.name, row.media_type, row.size, row.sha256, row.location, row.source or "", boxes)


def forget(connection: sa.Connection, task_id: str, claim: str, numbers: Sequence[int]) -> None:
    """Take files off the record that nobody has been sent and the task no longer asks for."""
    held = sa.exists().where(tasks.c.id == task_id, tasks.c.claim == claim, tasks.c.state == State.RUNNING)
    connection.execute(artifacts.delete().where(artifacts.c.task_id == task_id, artifacts.c.n.in_(numbers), held))
