"""Leases of duties that one process has at a time, and what lies with a broker."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AT_BROKER = sa.text("state = 'queued' AND worker IS NULL AND handed_at IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "leases",
        sa.Column("duty", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("duty", name=op.f("pk_leases")),
    )
    op.create_index(
        "ix_tasks_at_broker",
        "tasks",
        ["lane", "handed_at"],
        unique=False,
        sqlite_where=_AT_BROKER,
        postgresql_where=_AT_BROKER,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_tasks_at_broker", table_name="tasks", sqlite_where=_AT_BROKER, postgresql_where=_AT_BROKER)
    op.drop_table("leases")
