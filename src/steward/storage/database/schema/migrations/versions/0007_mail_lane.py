"""What is known of a lane that stands still or is doubted: why, how often in a row, whose letter, when it moved."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("lanes") as lanes:
        lanes.add_column(sa.Column("kind", sa.String(length=8)))
        lanes.add_column(sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        lanes.add_column(sa.Column("failed_at", sa.BigInteger()))
        lanes.add_column(sa.Column("task_id", sa.String(length=36)))
        lanes.add_column(sa.Column("passed_at", sa.BigInteger()))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("lanes") as lanes:
        for name in ("passed_at", "task_id", "failed_at", "failures", "kind"):
            lanes.drop_column(name)
