"""The ledger's tables. Times are microseconds since 1970 in UTC; the same columns on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from steward.storage.database.schema.access_tables import api_keys, links, sessions, users
from steward.storage.database.schema.metadata import Time, metadata

__all__ = [
    "actions", "api_keys", "artifacts", "attempts", "cursors", "deliveries", "firings", "incident_events", "incidents",
    "keys", "lanes", "leases", "links", "metadata", "schedules", "sessions", "synced", "tasks", "users", "workers",
]  # fmt: skip

_QUEUED = sa.text("state = 'queued'")
_WAITING = sa.text("state IN ('scheduled', 'retrying')")
_EXPIRING = sa.text("expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying', 'blocked')")
_IN_HAND = sa.text("worker IS NOT NULL")
_AT_BROKER = sa.text("state = 'queued' AND worker IS NULL AND handed_at IS NOT NULL")
_FAILED = sa.text("state = 'failed'")
_RUNNING = sa.text("next_at IS NOT NULL")
_OPEN = sa.text("closed_at IS NULL")

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("lane", sa.String(16), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("recipient", sa.String(320)),
    # A name to show, and the id of the caller whose task it is: only the id decides who may see it.
    sa.Column("requested_by", sa.String(80), nullable=False),
    sa.Column("owner_id", sa.String(36), nullable=False, server_default=""),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("due_at", Time, nullable=False),
    # When it was due first: the date that its letters and documents bear. None if that is when it was accepted.
    sa.Column("dated_at", Time),
    sa.Column("started_at", Time),
    sa.Column("finished_at", Time),
    sa.Column("expires_at", Time),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lost", sa.Integer, nullable=False, server_default="0"),
    # Who has it in hand: the worker it was handed to, and the claim that fences its attempt against late writers.
    sa.Column("worker", sa.String(80)),
    sa.Column("claim", sa.String(36)),
    sa.Column("handed_at", Time),
    sa.Column("progress", sa.Float),
    sa.Column("progress_text", sa.String(200)),
    sa.Column("error", sa.Text),
    sa.Column("note", sa.Text),
    # The figures of the note, as a JSON object.
    sa.Column("figures", sa.Text),
    # Claiming reads the first, waking the second, expiring the third, releasing the fourth, alerts the fifth.
    sa.Index(
        "ix_tasks_queued", "lane", sa.text("priority DESC"), "due_at", sqlite_where=_QUEUED, postgresql_where=_QUEUED
    ),
    sa.Index("ix_tasks_waiting", "due_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    sa.Index("ix_tasks_expiring", "expires_at", sqlite_where=_EXPIRING, postgresql_where=_EXPIRING),
    sa.Index("ix_tasks_worker", "worker", sqlite_where=_IN_HAND, postgresql_where=_IN_HAND),
    sa.Index("ix_tasks_at_broker", "lane", "handed_at", sqlite_where=_AT_BROKER, postgresql_where=_AT_BROKER),
    sa.Index("ix_tasks_failed", "finished_at", sqlite_where=_FAILED, postgresql_where=_FAILED),
    sa.Index("ix_tasks_state", "state", "id"),
    sa.Index("ix_tasks_name", "name", "id"),
    sa.Index("ix_tasks_recipient", "recipient"),
    sa.Index("ix_tasks_owner_id", "owner_id", "id"),
)

keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("caller_id", sa.String(36), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    # What was made: "task" or "schedule", and its id. Of a bulk the first task, and all of them as a JSON array.
    sa.Column("kind", sa.String(8), nullable=False, server_default="task"),
    sa.Column("task_id", sa.String(36), nullable=False),
    sa.Column("ids", sa.Text),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
    sa.Index("ix_idempotency_keys_task_id", "task_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("worker", sa.String(80), nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("finished_at", Time),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("error", sa.Text),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("recipient", sa.String(320), nullable=False),
    sa.Column("outcome", sa.String(12), nullable=False),
    sa.Column("message_id", sa.String(255), nullable=False),
    sa.Column("subject", sa.String(400), nullable=False),
    sa.Column("code", sa.Integer),
    sa.Column("reply", sa.Text),
    sa.Column("possible_duplicate", sa.Boolean, nullable=False),
    # How many attempts before the last ended with nobody knowing whether it had arrived.
    sa.Column("uncertain", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", Time, nullable=False),
    # The message as sent, sealed, kept until its outcome is known: a repeat must be the same to the byte.
    sa.Column("wire", sa.LargeBinary),
    sa.Index("ix_deliveries_recipient", "recipient"),
)

enclosures = sa.Table(
    "enclosures",
    metadata,
    # A file of letters that may have to be repeated, sealed: once for a task, however many letters it goes with.
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("media_type", sa.String(127), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("location", sa.String(400), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    # The SHA-256 of what it was made from: by this, and never by its name, a later attempt knows it again.
    sa.Column("source", sa.String(64)),
    # The scripts that stand as boxes in it, with commas between: whoever finds it kept says so again.
    sa.Column("boxes", sa.Text),
)

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("task_id", sa.String(36), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor", sa.String(80), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("ix_actions_task_id", "task_id", "id"),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("slot", sa.String(40), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("engine", sa.String(16), nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("heartbeat_at", Time, nullable=False),
    sa.Column("lease_until", Time, nullable=False),
    sa.Column("nudge_port", sa.Integer),
    sa.Column("detail", sa.Text),
)

lanes = sa.Table(
    "lanes",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("stopped_at", Time),
    sa.Column("reason", sa.Text),
    sa.Column("try_at", Time),
    # Of mail: why it stands still or is doubted, how often in a row, whose letter was refused, when it moved again.
    sa.Column("kind", sa.String(8)),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed_at", Time),
    sa.Column("task_id", sa.String(36)),
    sa.Column("passed_at", Time),
)

leases = sa.Table(
    "leases",
    metadata,
    # A duty that one process has at a time, whatever host it is on.
    sa.Column("duty", sa.String(40), primary_key=True),
    sa.Column("holder", sa.String(80), nullable=False),
    sa.Column("until", Time, nullable=False),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False),
    # Who made it: a plugin's declaration, a setting, or a person.
    sa.Column("origin", sa.String(8), nullable=False),
    sa.Column("cron", sa.String(120), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("missed", sa.String(8), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    # A name to show, and whose it is.
    sa.Column("owner", sa.String(80), nullable=False),
    sa.Column("owner_id", sa.String(36), nullable=False, server_default=""),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("paused_at", Time),
    sa.Column("paused_by", sa.String(80)),
    # The next moment it is due; none while it is paused, or when it will never be due again.
    sa.Column("next_at", Time),
    # Which days its tasks are about, empty for what the expression suggests; when it ended by itself, and why.
    sa.Column("period", sa.String(12), nullable=False, server_default=""),
    sa.Column("ended_at", Time),
    sa.Column("ended", sa.Text),
    sa.Index("ix_schedules_next_at", "next_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
)

firings = sa.Table(
    "firings",
    metadata,
    # One row for each time a schedule is due: this key is what makes it fire once.
    sa.Column("schedule_id", sa.String(36), primary_key=True),
    sa.Column("due_at", Time, primary_key=True),
    sa.Column("outcome", sa.String(8), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("task_id", sa.String(36)),
    sa.Index("ix_firings_outcome", "outcome", "at"),
)

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("scope", sa.String(120), primary_key=True),
    # How far it has come, and the page that is on its way, both in the handler's own words (JSON).
    sa.Column("position", sa.Text),
    sa.Column("pending", sa.Text),
    # What must not be read by others, such as the token for the next sign-in on the other side.
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("pages", sa.BigInteger, nullable=False),
    sa.Column("task_id", sa.String(36)),
    sa.Column("claim", sa.String(36)),
    sa.Column("updated_at", Time, nullable=False),
)

synced = sa.Table(
    "synced",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("scope", sa.String(120), primary_key=True),
    sa.Column("item", sa.String(120), primary_key=True),
    # What the other side calls it, or why it would not take it.
    sa.Column("remote", sa.String(120)),
    sa.Column("error", sa.Text),
    sa.Column("task_id", sa.String(36), nullable=False),
    sa.Column("at", Time, nullable=False),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    # What makes two events one incident: their kind, the handler or lane, and the reason without its particulars.
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("task_id", sa.String(36)),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("told", sa.BigInteger, nullable=False),
    sa.Column("told_at", Time),
    sa.Column("closed_at", Time),
    # Who made the schedule that was missed or has ended: told as well, if the name is an address.
    sa.Column("owner", sa.String(80), nullable=False, server_default=""),
    sa.Index("ix_incidents_digest", "digest", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
)

incident_events = sa.Table(
    "incident_events",
    metadata,
    # One row for each event that has been counted: a task's end, a firing, or a lane's stop, and when it was.
    sa.Column("event", sa.String(36), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("incident_id", sa.String(36), nullable=False),
    sa.Index("ix_incident_events_incident_id", "incident_id"),
)
