"""What an idempotency key stands for: a task, as until now, or a schedule."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""
    op.add_column("idempotency_keys", sa.Column("kind", sa.String(length=8), nullable=False, server_default="task"))


def downgrade() -> None:
    """Go back."""
    op.drop_column("idempotency_keys", "kind")
