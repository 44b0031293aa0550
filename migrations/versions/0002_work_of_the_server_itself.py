"""Work of the server itself: jobs without a satellite"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("jobs", "satellite_id", nullable=True)
    op.alter_column("jobs", "orbit_id", nullable=True)
    op.create_check_constraint(op.f("jobs_place_check"), "jobs", "(satellite_id IS NULL) = (orbit_id IS NULL)")
    ended = sa.text("finished_at IS NOT NULL")
    op.create_index("jobs_finished_at_idx", "jobs", ["finished_at"], postgresql_where=ended)


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE satellite_id IS NULL")
    op.drop_index("jobs_finished_at_idx", table_name="jobs")
    op.drop_constraint(op.f("jobs_place_check"), "jobs")
    op.alter_column("jobs", "orbit_id", nullable=False)
    op.alter_column("jobs", "satellite_id", nullable=False)
