"""What a schedule is about, why it has ended, and whose an incident is."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.add_column("schedules", sa.Column("period", sa.String(length=12), server_default="", nullable=False))
    op.add_column("schedules", sa.Column("ended_at", sa.BigInteger()))
    op.add_column("schedules", sa.Column("ended", sa.Text()))
    op.add_column("incidents", sa.Column("owner", sa.String(length=80), server_default="", nullable=False))


def downgrade() -> None:
    """Go back."""
    op.drop_column("incidents", "owner")
    op.drop_column("schedules", "ended")
    op.drop_column("schedules", "ended_at")
    op.drop_column("schedules", "period")
