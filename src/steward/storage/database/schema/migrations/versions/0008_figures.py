"""The figures of a task's note, as a JSON object."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    op.add_column("tasks", sa.Column("figures", sa.Text()))


def downgrade() -> None:
    """Go back."""
    op.drop_column("tasks", "figures")
