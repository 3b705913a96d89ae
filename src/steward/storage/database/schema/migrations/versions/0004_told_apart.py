"""Files known again by what they were made from; when a letter was due first; how often its end was uncertain."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    op.add_column("tasks", sa.Column("dated_at", sa.BigInteger(), nullable=True))
    # What has begun keeps the date that its letters may bear already: that of its acceptance.
    op.execute(sa.text("UPDATE tasks SET dated_at = due_at WHERE state = 'scheduled'"))
    op.add_column("deliveries", sa.Column("uncertain", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("artifacts", sa.Column("source", sa.String(length=64), nullable=True))
    op.create_table(
        "enclosures",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "sha256", name=op.f("pk_enclosures")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("enclosures")
    op.drop_column("artifacts", "source")
    op.drop_column("deliveries", "uncertain")
    op.drop_column("tasks", "dated_at")
