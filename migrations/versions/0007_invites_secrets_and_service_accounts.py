"""Invites, secrets and service accounts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("service_of", sa.Uuid(), nullable=True))
    op.create_foreign_key("users_service_of_fkey", "users", "organizations", ["service_of"], ["id"], ondelete="CASCADE")
    op.create_check_constraint(
        op.f("users_service_password_check"), "users", "service_of IS NULL OR password_hash IS NULL"
    )
    op.create_index("users_service_of_idx", "users", ["service_of"])
    op.create_table(
        "invites",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("invited_by_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("invites_organization_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["invited_by_id"], ["users.id"], name=op.f("invites_invited_by_id_fkey"), ondelete="SET NULL"
        ),
        sa.UniqueConstraint("organization_id", "email", name=op.f("invites_organization_id_email_key")),
        sa.CheckConstraint("email = lower(email)", name=op.f("invites_email_lower_check")),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name=op.f("invites_role_check")),
    )
    op.create_index(op.f("invites_email_idx"), "invites", ["email"])
    op.create_index(op.f("invites_invited_by_id_idx"), "invites", ["invited_by_id"])
    op.create_table(
        "orbit_secrets",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("orbit_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["orbit_id"], ["orbits.id"], name=op.f("orbit_secrets_orbit_id_fkey"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("orbit_id", "name", name=op.f("orbit_secrets_orbit_id_name_key")),
    )


def downgrade() -> None:
    op.drop_table("orbit_secrets")
    op.drop_table("invites")
    op.drop_index("users_service_of_idx", "users")
    op.drop_constraint("users_service_password_check", "users")
    op.drop_column("users", "service_of")
