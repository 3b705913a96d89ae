"""Schedules and their firings, the cursors of data synchronisation, and the incidents that operators are told of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_FAILED = sa.text("state = 'failed'")
_RUNNING = sa.text("next_at IS NOT NULL")
_OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_tasks_failed", "tasks", ["finished_at"], unique=False, sqlite_where=_FAILED, postgresql_where=_FAILED
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("cron", sa.String(length=120), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("missed", sa.String(length=8), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.String(length=80), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index(
        "ix_schedules_next_at",
        "schedules",
        ["next_at"],
        unique=False,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_table(
        "firings",
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", name=op.f("pk_firings")),
    )
    op.create_index("ix_firings_outcome", "firings", ["outcome", "at"], unique=False)
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("scope", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("pending", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("pages", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("claim", sa.String(length=36), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "scope", name=op.f("pk_cursors")),
    )
    op.create_table(
        "synced",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("scope", sa.String(length=120), nullable=False),
        sa.Column("item", sa.String(length=120), nullable=False),
        sa.Column("remote", sa.String(length=120), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "scope", "item", name=op.f("pk_synced")),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(
        "ix_incidents_digest", "incidents", ["digest"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "incident_events",
        sa.Column("event", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("event", "at", name=op.f("pk_incident_events")),
    )
    op.create_index("ix_incident_events_incident_id", "incident_events", ["incident_id"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_table("incident_events")
    op.drop_table("incidents")
    op.drop_table("synced")
    op.drop_table("cursors")
    op.drop_table("firings")
    op.drop_table("schedules")
    op.drop_index("ix_tasks_failed", table_name="tasks", sqlite_where=_FAILED, postgresql_where=_FAILED)
