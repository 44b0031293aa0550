"""Accounts: mailed tokens, identities of other issuers, and limits on credentials"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _user(table: str, **options: object) -> sa.Column:
    key = sa.ForeignKey("users.id", name=op.f(f"{table}_user_id_fkey"), ondelete="CASCADE")
    return sa.Column("user_id", sa.Uuid(), key, **options)


def upgrade() -> None:
    # Until now nobody had to confirm an address, and everybody could sign in.
    op.execute("UPDATE users SET email_confirmed_at = created_at WHERE email_confirmed_at IS NULL")
    op.add_column("sessions", _time("last_used_at"))
    op.create_index("session_tokens_expires_at_idx", "session_tokens", ["expires_at"])
    op.create_index("api_keys_orbit_id_idx", "api_keys", ["orbit_id"])
    op.create_table(
        "account_tokens",
        sa.Column("hash", sa.Text(), nullable=False),
        _user("account_tokens", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        _time("expires_at", nullable=False),
        sa.CheckConstraint("kind IN ('confirm', 'reset')", name=op.f("account_tokens_kind_check")),
        sa.PrimaryKeyConstraint("hash", name=op.f("account_tokens_pkey")),
    )
    op.create_index("account_tokens_user_id_idx", "account_tokens", ["user_id"])
    op.create_index("account_tokens_expires_at_idx", "account_tokens", ["expires_at"])
    op.create_table(
        "identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        _user("identities", nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        _time("created_at", nullable=False, server_default=_NOW),
        _time("last_used_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("identities_pkey")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("identities_issuer_subject_key")),
    )
    op.create_index("identities_user_id_idx", "identities", ["user_id"])
    op.create_table(
        "provider_visits",
        sa.Column("state_hash", sa.Text(), nullable=False),
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        _user("provider_visits"),
        sa.Column("luggage", sa.LargeBinary(), nullable=False),
        _time("expires_at", nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("provider_visits_pkey")),
    )
    op.create_index("provider_visits_user_id_idx", "provider_visits", ["user_id"])
    op.create_index("provider_visits_expires_at_idx", "provider_visits", ["expires_at"])
    op.create_table(
        "throttles",
        sa.Column("key", sa.Text(), nullable=False),
        _time("whole_at", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("throttles_pkey")),
        prefixes=["UNLOGGED"],
    )
    op.create_index("throttles_whole_at_idx", "throttles", ["whole_at"])


def downgrade() -> None:
    for table in ("throttles", "provider_visits", "identities", "account_tokens"):
        op.drop_table(table)
    op.drop_index("api_keys_orbit_id_idx", table_name="api_keys")
    op.drop_index("session_tokens_expires_at_idx", table_name="session_tokens")
    op.drop_column("sessions", "last_used_at")
