"""Deletion of whole places, and of bytes, that outlives a crash"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

PLACES = ("organizations", "orbits", "collections")
ALIVE = sa.text("deleting_since IS NULL")


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def upgrade() -> None:
    for table in PLACES:
        op.add_column(table, _time("deleting_since"))
    op.drop_constraint("orbits_organization_id_name_key", "orbits")
    name = "orbits_organization_id_name_key"
    op.create_index(name, "orbits", ["organization_id", "name"], unique=True, postgresql_where=ALIVE)
    leaving = sa.text("deleting_since IS NOT NULL")
    op.create_index("collections_deleting_idx", "collections", ["orbit_id"], postgresql_where=leaving)
    op.add_column("artifacts", sa.Column("upload_ids", ARRAY(sa.Text), nullable=False, server_default="{}"))
    _create_deletions()
    _create_doomed_objects()


def _create_deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Uuid, nullable=False),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("orbit_id", sa.Uuid),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False, server_default="queued"),
        sa.Column("remaining", sa.Integer),
        sa.Column("problem", sa.Text),
        sa.Column("requested_by", sa.Uuid),
        sa.Column("requested_by_name", sa.Text),
        _time("finished_at"),
        _time("created_at", nullable=False, server_default=sa.func.now()),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="deletions_pkey"),
        sa.UniqueConstraint("object_id", name="deletions_object_id_key"),
        sa.CheckConstraint("kind IN ('collection', 'orbit', 'organization')", name=op.f("deletions_kind_check")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name="deletions_requested_by_fkey", ondelete="SET NULL"
        ),
    )
    op.create_index("deletions_requested_by_created_at_idx", "deletions", ["requested_by", "created_at"])


def _create_doomed_objects() -> None:
    op.create_table(
        "doomed_objects",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("bucket_secret_id", sa.Uuid, nullable=False),
        sa.Column("bucket_location", sa.Text, nullable=False),
        sa.Column("upload_ids", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("deletion_id", sa.Uuid),
        _time("created_at", nullable=False, server_default=sa.func.now()),
        _time("tried_at"),
        sa.Column("problem", sa.Text),
        sa.PrimaryKeyConstraint("id", name="doomed_objects_pkey"),
        sa.ForeignKeyConstraint(
            ["bucket_secret_id"], ["buckets.id"], name="doomed_objects_bucket_secret_id_fkey", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["deletion_id"], ["deletions.id"], name="doomed_objects_deletion_id_fkey", ondelete="SET NULL"
        ),
    )
    op.create_index("doomed_objects_bucket_secret_id_tried_at_idx", "doomed_objects", ["bucket_secret_id", "tried_at"])
    op.create_index("doomed_objects_deletion_id_idx", "doomed_objects", ["deletion_id"])


def downgrade() -> None:
    op.drop_table("doomed_objects")
    op.drop_table("deletions")
    op.drop_column("artifacts", "upload_ids")
    op.drop_index("orbits_organization_id_name_key", "orbits")
    op.execute("UPDATE orbits SET name = name || ' ' || id WHERE deleting_since IS NOT NULL")
    op.create_unique_constraint("orbits_organization_id_name_key", "orbits", ["organization_id", "name"])
    for table in PLACES:
        op.drop_column(table, "deleting_since")
