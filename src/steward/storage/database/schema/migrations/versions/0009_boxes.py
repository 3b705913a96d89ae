"""Which scripts stand as boxes in a file that is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.add_column("artifacts", sa.Column("boxes", sa.Text()))


def downgrade() -> None:
    """Go back."""
    op.drop_column("artifacts", "boxes")
