"""What everything else is in: organizations, their buckets and orbits; and who belongs to them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from luml_app.core.tables.columns import deleting, metadata, one_of, own_id, parent, times

organizations = Table(
    "organizations",
    metadata,
    own_id(),
    Column("name", Text, nullable=False),
    Column("logo", Text),
    Column("members_limit", Integer),
    Column("orbits_limit", Integer),
    Column("satellites_limit", Integer),
    Column("artifacts_limit", Integer),
    deleting(),
    *times(),
)

organization_members = Table(
    "organization_members",
    metadata,
    own_id(),
    parent("organizations"),
    parent("users"),
    Column("role", Text, nullable=False),
    *times(),
    UniqueConstraint("organization_id", "user_id"),
    one_of("role", "owner", "admin", "member"),
    Index(None, "user_id"),
)

invites = Table(
    "invites",
    metadata,
    own_id(),
    parent("organizations"),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    *times(),
    UniqueConstraint("organization_id", "email"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    one_of("role", "owner", "admin", "member"),
    Index(None, "email"),
    Index(None, "invited_by_id"),
)

buckets = Table(
    "buckets",
    metadata,
    own_id(),
    parent("organizations"),
    Column("type", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("bucket_name", Text, nullable=False),
    Column("region", Text),
    Column("secure", Boolean),
    Column("cert_check", Boolean),
    Column("credentials", LargeBinary),
    Column("builtin", Boolean, nullable=False, server_default=text("false")),
    *times(),
    one_of("type", "s3", "azure"),
    Index(None, "organization_id"),
    Index("buckets_builtin_key", "organization_id", unique=True, postgresql_where=text("builtin")),
)

orbits = Table(
    "orbits",
    metadata,
    own_id(),
    parent("organizations"),
    Column("name", Text, nullable=False),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    deleting(),
    *times(),
    Index(
        "orbits_organization_id_name_key",
        "organization_id",
        "name",
        unique=True,
        postgresql_where=text("deleting_since IS NULL"),
    ),
    Index(None, "bucket_secret_id"),
)

orbit_members = Table(
    "orbit_members",
    metadata,
    own_id(),
    parent("orbits"),
    parent("users"),
    Column("role", Text, nullable=False),
    *times(),
    UniqueConstraint("orbit_id", "user_id"),
    one_of("role", "admin", "member", "viewer"),
    Index(None, "user_id"),
)
