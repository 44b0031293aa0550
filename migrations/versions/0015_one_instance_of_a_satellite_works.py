"""One instance of a satellite works at a time, and a deployment remembers which values of secrets it has taken over"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("satellites", sa.Column("session_instance", sa.Text(), nullable=True))
    op.add_column("satellites", sa.Column("session_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("orbit_secrets", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column(
        "deployments", sa.Column("secrets_taken", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'"))
    )


def downgrade() -> None:
    op.drop_column("deployments", "secrets_taken")
    op.drop_column("orbit_secrets", "version")
    op.drop_column("satellites", "session_expires_at")
    op.drop_column("satellites", "session_instance")
