"""Incidents: failures, missed firings and stopped lanes, counted together so that 500 of a kind are told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database.schema.tables import firings, incident_events, incidents, lanes, schedules, tasks
from steward.storage.fleet.circuit_breaker import LINE
from steward.system.clock import SECOND, new_id, now

AWAY: Final = 300 * SECOND
"""Microseconds for which a mail server may be away before that is an incident: most are back sooner."""
MOST = 1000
"""How many events are counted in one transaction."""


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """Something that an operator should know. `of` is the task or schedule, `task_id` a task to look at.

    `owner` is whoever made the schedule that it is about.
    """

    kind: str
    name: str
    reason: str
    of: str
    at: int
    task_id: str | None
    digest: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Events of one kind, handler and reason; `told` of its `count` have been told."""

    id: str
    digest: str
    kind: str
    name: str
    reason: str
    task_id: str | None
    first_at: int
    last_at: int
    count: int
    told: int
    told_at: int | None
    closed_at: int | None
    owner: str = ""


def uncounted(
    connection: sa.Connection, since: int, silent: Sequence[str], at: int | None = None
) -> list[IncidentEvent]:
    """Return what has happened since `since` and is in no incident yet; failures of `silent` handlers are left out.

    A mail server that cannot be reached is none before it has been away for `AWAY` at the moment `at` (default now).
    """
    at = now() if at is None else at
    failed = (
        sa.select(tasks.c.id, tasks.c.name, tasks.c.error, tasks.c.finished_at)
        .outerjoin(
            incident_events,
            sa.and_(incident_events.c.event == tasks.c.id, incident_events.c.at == tasks.c.finished_at),
        )
        .where(
            tasks.c.state == sa.literal_column(f"'{State.FAILED}'"),
            tasks.c.finished_at >= since,
            tasks.c.name.not_in(silent),
            incident_events.c.event.is_(None),
        )
        .order_by(tasks.c.finished_at)
        .limit(MOST)
    )
    found = [
        IncidentEvent("failed", r.name, r.error or "", r.id, r.finished_at, r.id) for r in connection.execute(failed)
    ]
    missed = (
        sa.select(
            firings.c.schedule_id,
            firings.c.due_at,
            firings.c.task_id,
            firings.c.outcome,
            schedules.c.name,
            schedules.c.owner,
        )
        .join(schedules, schedules.c.id == firings.c.schedule_id)
        .outerjoin(
            incident_events,
            sa.and_(incident_events.c.event == firings.c.schedule_id, incident_events.c.at == firings.c.due_at),
        )
        .where(firings.c.outcome.in_(["missed", "refused"]), firings.c.at >= since, incident_events.c.event.is_(None))
        .limit(MOST)
    )
    # An owner's schedules are an incident of their own, since the owner is told of it; but not who was shut out.
    for r in connection.execute(missed):
        if r.outcome == "missed":
            found.append(IncidentEvent("missed", r.name, "", r.schedule_id, r.due_at, r.task_id, owner=r.owner))
        else:
            found.append(
                IncidentEvent("refused", r.name, f"It was made by {r.owner or 'nobody'}", r.schedule_id, r.due_at, None)
            )
    ended = (
        sa.select(schedules.c.id, schedules.c.name, schedules.c.owner, schedules.c.ended, schedules.c.ended_at)
        .outerjoin(
            incident_events,
            sa.and_(incident_events.c.event == schedules.c.id, incident_events.c.at == schedules.c.ended_at),
        )
        .where(schedules.c.ended_at >= since, incident_events.c.event.is_(None))
    )
    found += [
        IncidentEvent("ended", r.name, r.ended, r.id, r.ended_at, None, owner=r.owner)
        for r in connection.execute(ended)
    ]
    stopped = (
        sa.select(lanes.c.name, lanes.c.reason, lanes.c.stopped_at)
        .outerjoin(
            incident_events,
            sa.and_(incident_events.c.event == lanes.c.name, incident_events.c.at == lanes.c.stopped_at),
        )
        .where(lanes.c.stopped_at.is_not(None), incident_events.c.event.is_(None))
        .where(sa.or_(lanes.c.kind.is_(None), lanes.c.kind != LINE, lanes.c.stopped_at <= at - AWAY))
    )
    return found + [
        IncidentEvent("stopped", r.name, r.reason or "", r.name, r.stopped_at, None)
        for r in connection.execute(stopped)
    ]


def only_one(connection: sa.Connection) -> None:
    """Let no other process count until this transaction ends; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7262)"))


def count(connection: sa.Connection, events: Sequence[IncidentEvent], at: int) -> None:
    """Count `events` in the open incidents with their digests; begin one where there is none."""
    groups: dict[str, list[IncidentEvent]] = {}
    for event in events:
        groups.setdefault(event.digest, []).append(event)
    for digest, group in groups.items():
        found: str | None = connection.scalar(
            sa.select(incidents.c.id).where(incidents.c.digest == digest, incidents.c.closed_at.is_(None))
        )
        first = group[0]
        if found is None:
            found = new_id()
            connection.execute(
                incidents.insert().values(
                    id=found,
                    digest=digest,
                    kind=first.kind,
                    name=first.name,
                    reason=first.reason,
                    owner=first.owner,
                    task_id=first.task_id,
                    first_at=at,
                    last_at=at,
                    count=len(group),
                    told=0,
                )
            )
        else:
            more = {"count": incidents.c.count + len(group), "last_at": at}
            connection.execute(incidents.update().where(incidents.c.id == found).values(more))
        connection.execute(incident_events.insert(), [{"event": e.of, "at": e.at, "incident_id": found} for e in group])


def still_open(connection: sa.Connection) -> list[Incident]:
    """Return the incidents that are not closed, oldest first."""
    rows = connection.execute(
        sa.select(incidents).where(incidents.c.closed_at.is_(None)).order_by(incidents.c.first_at)
    )
    return [Incident(**row._mapping) for row in rows]


def mark_told(connection: sa.Connection, incident: Incident, at: int) -> bool:
    """Record that an incident has been told of as it was read; return False if another process has told of it."""
    return bool(
        connection.execute(
            incidents.update()
            .where(
                incidents.c.id == incident.id,
                incidents.c.told == incident.told,
                incidents.c.told_at.is_not_distinct_from(incident.told_at),
            )
            .values(told=incident.count, told_at=at)
        ).rowcount
    )


def that_move_again(connection: sa.Connection, among: Sequence[Incident]) -> list[Incident]:
    """Return those of `among` that are about a lane which stands still no more."""
    still = set(connection.scalars(sa.select(lanes.c.name).where(lanes.c.stopped_at.is_not(None))))
    return [each for each in among if each.kind == "stopped" and each.name not in still]


def end(connection: sa.Connection, incident: Incident, at: int) -> bool:
    """End an incident because what it was about is over; return False if another process has ended it."""
    open_ = incidents.update().where(incidents.c.id == incident.id, incidents.c.closed_at.is_(None))
    return bool(connection.execute(open_.values(closed_at=at)).rowcount)


def close(connection: sa.Connection, over: Sequence[Incident], at: int) -> None:
    """End incidents to which nothing was added since they were read; the next such event begins another."""
    for each in over:
        unchanged = sa.and_(incidents.c.id == each.id, incidents.c.count == each.count)
        connection.execute(incidents.update().where(unchanged).values(closed_at=at))


def forget(connection: sa.Connection, before: int) -> int:
    """Delete incidents that were closed before `before`, with their events; return how many."""
    old = sa.select(incidents.c.id).where(incidents.c.closed_at < before)
    connection.execute(incident_events.delete().where(incident_events.c.incident_id.in_(old)))
    return connection.execute(incidents.delete().where(incidents.c.closed_at < before)).rowcount
