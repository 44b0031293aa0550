"""What is still to be done: jobs, and the deletion of whole places and of bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from luml_app.core.tables.columns import NOW, metadata, one_of, own_id, parent, times

# Work of a satellite names it; work of the server itself, a chore, names neither satellite nor orbit: it must outlive
# the orbit that it clears away.
jobs = Table(
    "jobs",
    metadata,
    own_id(),
    parent("satellites", nullable=True),
    parent("orbits", nullable=True),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="5"),
    Column("scheduled_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("lease_token", Uuid),
    Column("lease_expires_at", DateTime(timezone=True)),
    Column("result", JSONB(none_as_null=True)),
    *times(),
    one_of("state", "queued", "leased", "succeeded", "failed", "dead", "cancelled"),
    CheckConstraint("(state = 'leased') = (lease_token IS NOT NULL)", name="lease"),
    CheckConstraint("(satellite_id IS NULL) = (orbit_id IS NULL)", name="place"),
    Index("jobs_queued_key", "dedupe_key", unique=True, postgresql_where=text("state = 'queued'")),
    Index("jobs_leased_key", "dedupe_key", unique=True, postgresql_where=text("state = 'leased'")),
    Index("jobs_live_idx", "satellite_id", "scheduled_at", postgresql_where=text("state IN ('queued', 'leased')")),
    Index("jobs_history_idx", "satellite_id", "created_at"),
    Index("jobs_finished_at_idx", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)

# Who may claim jobs straight from the database: a role of PostgreSQL, and the channel on which it is woken.
satellite_logins = Table(
    "satellite_logins",
    metadata,
    Column("satellite_id", Uuid, ForeignKey("satellites.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, nullable=False, unique=True),
    Column("channel", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
)

# The deletion of a whole place: collection, orbit or organization. It outlives what it deletes.
deletions = Table(
    "deletions",
    metadata,
    own_id(),
    Column("kind", Text, nullable=False),
    Column("object_id", Uuid, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("orbit_id", Uuid),
    Column("name", Text, nullable=False),
    Column("step", Text, nullable=False, server_default="queued"),
    Column("remaining", Integer),
    Column("problem", Text),
    Column("requested_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("requested_by_name", Text),
    Column("finished_at", DateTime(timezone=True)),
    *times(),
    one_of("kind", "collection", "orbit", "organization"),
    UniqueConstraint("object_id"),
    Index(None, "requested_by", "created_at"),
)

# Objects in buckets whose row is gone, until they are gone, too. The id is that of the artifact.
doomed_objects = Table(
    "doomed_objects",
    metadata,
    own_id(),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    Column("bucket_location", Text, nullable=False),
    Column("upload_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("size", BigInteger, nullable=False),
    Column("deletion_id", Uuid, ForeignKey("deletions.id", ondelete="SET NULL")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("tried_at", DateTime(timezone=True)),
    Column("problem", Text),
    Index(None, "bucket_secret_id", "tried_at"),
    Index(None, "deletion_id"),
)
