"""Work that is due and lies where nobody takes it: which lanes it is in, and since when."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from steward.model.declaration.queues import QUEUES
from steward.storage.database.schema.tables import tasks

# A literal, not a parameter: both databases match a partial index only by what stands in the statement.
_QUEUED = sa.and_(tasks.c.state == sa.literal_column("'queued'"), tasks.c.worker.is_(None))
_LATEST = 500
"""How many of the tasks that ended last are looked at for a sign that somebody serves a lane."""


def unknown_lanes(connection: sa.Connection) -> dict[str, int]:
    """Return how many tasks wait in each lane that this version does not know: no worker looks there."""
    found = sa.select(tasks.c.lane, sa.func.count().label("n")).where(_QUEUED, tasks.c.lane.not_in(QUEUES))
    return {row.lane: row.n for row in connection.execute(found.group_by(tasks.c.lane))}


def waiting(connection: sa.Connection, before: int, lanes: Iterable[str] = QUEUES) -> dict[str, int]:
    """Return those of `lanes` in which a task was due before `before` and is in nobody's hand: since when one was."""
    found: dict[str, int] = {}
    for lane in lanes:
        # One in whose hand a process has died waits for its turn, while all others go on.
        due = sa.select(tasks.c.due_at).where(_QUEUED, tasks.c.lane == lane, tasks.c.due_at < before, tasks.c.lost == 0)
        since = connection.scalar(due.limit(1))
        if since is not None:
            found[lane] = since
    return found


def idle(connection: sa.Connection, lanes: Iterable[str], since: int) -> set[str]:
    """Return those of `lanes` in which nothing is being performed, and nothing that ended lately was begun `since`."""
    moving = set(connection.scalars(sa.select(tasks.c.lane).where(tasks.c.worker.is_not(None)).distinct()))
    for state in ("'succeeded'", "'failed'"):
        latest = (
            sa.select(tasks.c.lane, tasks.c.started_at)
            .where(tasks.c.state == sa.literal_column(state))
            .order_by(tasks.c.id.desc())
            .limit(_LATEST)
            .subquery()
        )
        moving |= set(connection.scalars(sa.select(latest.c.lane).where(latest.c.started_at >= since).distinct()))
    return set(lanes) - moving
