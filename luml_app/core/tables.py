"""The tables. Every constraint has a name, by which `core.errors` says what was wrong with a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)
_NOW = func.now()
_BULKY = {"bulky": True}  # not fetched where only the object's place in the registry is wanted


def _id() -> Column[UUID]:
    return Column("id", Uuid, primary_key=True)


def _times() -> tuple[Column[datetime], Column[datetime | None]]:
    return (
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
        Column("updated_at", DateTime(timezone=True)),
    )


def _deleting() -> Column[datetime | None]:
    """Since when an object is being deleted with all that is in it: it is not there any more for anybody."""
    return Column("deleting_since", DateTime(timezone=True))


def _parent(table: str, *, name: str | None = None, ondelete: str = "CASCADE", nullable: bool = False) -> Column[Any]:
    return Column(name or f"{table[:-1]}_id", Uuid, ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable)


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


users = Table(
    "users",
    metadata,
    _id(),
    Column("email", Text, nullable=False),
    Column("full_name", Text),
    Column("photo", Text),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    Column("password_hash", Text),
    Column("auth_method", Text, nullable=False, server_default="EMAIL"),
    Column("email_confirmed_at", DateTime(timezone=True)),
    # Set for a service account: an organization's own user, who is no person and signs in with API keys alone.
    Column("service_of", Uuid, ForeignKey("organizations.id", ondelete="CASCADE")),
    *_times(),
    UniqueConstraint("email"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    CheckConstraint("service_of IS NULL OR password_hash IS NULL", name="service_password"),
    Index(None, "service_of"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    _parent("users"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("ip", Text),
    Column("user_agent", Text),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Index(None, "user_id"),
)

# A session's tokens live in a table of their own: a refresh token that was used once stays known,
# so that its second use can be told from a stranger's guess, and ends the whole session.
session_tokens = Table(
    "session_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _parent("sessions"),
    Column("kind", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    _one_of("kind", "access", "refresh", "link"),
    Index(None, "session_id"),
    Index(None, "expires_at"),
)

# What a mail's link carries. A confirmation brings the password of the sign-up that asked for it: whoever signs up with
# the address of somebody else does not choose the password of the account that its owner will confirm.
account_tokens = Table(
    "account_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _parent("users"),
    Column("kind", Text, nullable=False),
    Column("password_hash", Text),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _one_of("kind", "confirm", "reset"),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

# Who somebody is elsewhere: a subject of an issuer. Never an e-mail address, which may change hands.
identities = Table(
    "identities",
    metadata,
    _id(),
    _parent("users"),
    Column("provider", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("email", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("last_used_at", DateTime(timezone=True)),
    UniqueConstraint("issuer", "subject"),
    Index(None, "user_id"),
)

# Somebody is on the way to a provider and back. The row is taken out by the first who comes back with its `state`, and
# belongs to the browser that has left: both are needed.
provider_visits = Table(
    "provider_visits",
    metadata,
    Column("state_hash", Text, primary_key=True),
    Column("browser_hash", Text, nullable=False),
    Column("provider", Text, nullable=False),
    _parent("users", nullable=True),
    Column("luggage", LargeBinary, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

# How much of a limit is used up, as the moment at which it will be whole again. Unlogged: to forget it in a crash of
# the database does no harm, and writing it is cheap.
throttles = Table(
    "throttles",
    metadata,
    Column("key", Text, primary_key=True),
    Column("whole_at", DateTime(timezone=True), nullable=False),
    Index(None, "whole_at"),
    prefixes=["UNLOGGED"],
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _parent("users"),
    Column("name", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("orbit_id", Uuid, ForeignKey("orbits.id", ondelete="CASCADE")),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("key_hash"),
    UniqueConstraint("user_id", "name"),
    Index(None, "orbit_id"),
)

organizations = Table(
    "organizations",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("logo", Text),
    Column("members_limit", Integer),
    Column("orbits_limit", Integer),
    Column("satellites_limit", Integer),
    Column("artifacts_limit", Integer),
    _deleting(),
    *_times(),
)

organization_members = Table(
    "organization_members",
    metadata,
    _id(),
    _parent("organizations"),
    _parent("users"),
    Column("role", Text, nullable=False),
    *_times(),
    UniqueConstraint("organization_id", "user_id"),
    _one_of("role", "owner", "admin", "member"),
    Index(None, "user_id"),
)

invites = Table(
    "invites",
    metadata,
    _id(),
    _parent("organizations"),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    *_times(),
    UniqueConstraint("organization_id", "email"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    _one_of("role", "owner", "admin", "member"),
    Index(None, "email"),
    Index(None, "invited_by_id"),
)

buckets = Table(
    "buckets",
    metadata,
    _id(),
    _parent("organizations"),
    Column("type", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("bucket_name", Text, nullable=False),
    Column("region", Text),
    Column("secure", Boolean),
    Column("cert_check", Boolean),
    Column("credentials", LargeBinary),
    Column("builtin", Boolean, nullable=False, server_default=text("false")),
    *_times(),
    _one_of("type", "s3", "azure"),
    Index(None, "organization_id"),
    Index("buckets_builtin_key", "organization_id", unique=True, postgresql_where=text("builtin")),
)

orbits = Table(
    "orbits",
    metadata,
    _id(),
    _parent("organizations"),
    Column("name", Text, nullable=False),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    _deleting(),
    *_times(),
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
    _id(),
    _parent("orbits"),
    _parent("users"),
    Column("role", Text, nullable=False),
    *_times(),
    UniqueConstraint("orbit_id", "user_id"),
    _one_of("role", "admin", "member", "viewer"),
    Index(None, "user_id"),
)

orbit_secrets = Table(
    "orbit_secrets",
    metadata,
    _id(),
    _parent("orbits"),
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("tags", ARRAY(Text)),
    *_times(),
    UniqueConstraint("orbit_id", "name"),
)

collections = Table(
    "collections",
    metadata,
    _id(),
    _parent("orbits"),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("type", Text, nullable=False),
    Column("tags", ARRAY(Text)),
    # Kept by triggers on `artifacts`: counting a hundred thousand takes longer than all else that a request does.
    Column("total_artifacts", Integer, nullable=False, server_default="0"),
    _deleting(),
    *_times(),
    Index(None, "orbit_id", "created_at"),
    Index("collections_deleting_idx", "orbit_id", postgresql_where=text("deleting_since IS NOT NULL")),
)

artifacts = Table(
    "artifacts",
    metadata,
    _id(),
    _parent("collections"),
    _parent("orbits"),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    Column("type", Text, nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("file_name", Text, nullable=False),
    Column("file_hash", Text, nullable=False),
    Column("file_index", JSONB, nullable=False, info=_BULKY),
    Column("size", BigInteger, nullable=False),
    Column("manifest", JSONB, nullable=False, info=_BULKY),
    Column("extra_values", JSONB, nullable=False),
    Column("params", JSONB, nullable=False, server_default="{}"),
    Column("tags", ARRAY(Text)),
    Column("status", Text, nullable=False),
    Column("bucket_location", Text, nullable=False),
    Column("unique_identifier", Text, nullable=False),
    # The multipart uploads that were begun for it; those that never became the object have to be aborted one day.
    Column("upload_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("created_by_user", Text),
    Column("created_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    *_times(),
    _one_of("type", "model", "experiment", "dataset"),
    _one_of("status", "pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"),
    UniqueConstraint("bucket_secret_id", "bucket_location"),
    Index(None, "collection_id", "created_at", "id"),
    Index(None, "orbit_id", "created_at", "id"),
    Index(None, "orbit_id", "name", "id"),
    Index(None, "orbit_id", "size", "id"),
    Index(None, "orbit_id", "id"),
    Index(None, "orbit_id", "file_hash"),
)
# Pieces of text and whole tags, hashed together with the orbit: a search never meets what is another tenant's.
Index(
    "artifacts_search_idx",
    func.luml_search_keys(artifacts.c.orbit_id, artifacts.c.name, artifacts.c.description, artifacts.c.tags),
    postgresql_using="gin",
)

# What is in `artifacts.extra_values` and `.params`, once more, one row per value, so that filters and sorts by any of
# them run on an index. Written in the statement that writes the artifact: see `resources.artifact_values`.
artifact_values = Table(
    "artifact_values",
    metadata,
    Column("artifact_id", Uuid, ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # as in a filter: metrics.auc, params.depth
    Column("orbit_id", Uuid, nullable=False),
    Column("number", Double),
    Column("text", Text),
    Index(
        "artifact_values_number_idx",
        "orbit_id",
        "name",
        "number",
        "artifact_id",
        postgresql_where=text("number IS NOT NULL"),
    ),
    Index(
        "artifact_values_text_idx", "orbit_id", "name", "text", "artifact_id", postgresql_where=text("text IS NOT NULL")
    ),
)

# The deletion of a whole place: collection, orbit or organization. It outlives what it deletes.
deletions = Table(
    "deletions",
    metadata,
    _id(),
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
    *_times(),
    _one_of("kind", "collection", "orbit", "organization"),
    UniqueConstraint("object_id"),
    Index(None, "requested_by", "created_at"),
)

# Objects in buckets whose row is gone, until they are gone, too. The id is that of the artifact.
doomed_objects = Table(
    "doomed_objects",
    metadata,
    _id(),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    Column("bucket_location", Text, nullable=False),
    Column("upload_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("size", BigInteger, nullable=False),
    Column("deletion_id", Uuid, ForeignKey("deletions.id", ondelete="SET NULL")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("tried_at", DateTime(timezone=True)),
    Column("problem", Text),
    Index(None, "bucket_secret_id", "tried_at"),
    Index(None, "deletion_id"),
)

tracks = Table(
    "tracks",
    metadata,
    _id(),
    _parent("orbits"),
    Column("name", Text, nullable=False),
    Column("artifact_type", Text, nullable=False),
    Column("description", Text),
    Column("tags", ARRAY(Text)),
    Column("next_version", Integer, nullable=False, server_default="1"),
    *_times(),
    UniqueConstraint("orbit_id", "name"),
)

stages = Table(
    "stages",
    metadata,
    _id(),
    _parent("tracks"),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("protected", Boolean, nullable=False, server_default=text("false")),
    *_times(),
    UniqueConstraint("track_id", "name", deferrable=True, initially="DEFERRED"),
)

track_entries = Table(
    "track_entries",
    metadata,
    _id(),
    _parent("tracks"),
    _parent("artifacts", ondelete="RESTRICT"),
    Column("version", Integer, nullable=False),
    Column("stage_id", Uuid, ForeignKey("stages.id", ondelete="RESTRICT")),
    Column("added_by", Uuid, nullable=False),
    *_times(),
    UniqueConstraint("track_id", "version"),
    UniqueConstraint("track_id", "artifact_id"),
    UniqueConstraint("stage_id"),
    Index(None, "artifact_id"),
)

satellites = Table(
    "satellites",
    metadata,
    _id(),
    _parent("orbits"),
    Column("name", Text),
    Column("description", Text),
    Column("base_url", Text),
    Column("slug", Text),
    Column("paired", Boolean, nullable=False, server_default=text("false")),
    Column("capabilities", JSONB, nullable=False, server_default="{}"),
    Column("key_hash", Text, nullable=False),
    Column("last_seen_at", DateTime(timezone=True)),
    *_times(),
    UniqueConstraint("key_hash"),
    Index(None, "orbit_id"),
)

deployments = Table(
    "deployments",
    metadata,
    _id(),
    _parent("orbits"),
    _parent("satellites", ondelete="RESTRICT"),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("tags", ARRAY(Text)),
    Column("status", Text, nullable=False),
    Column("desired", Text, nullable=False, server_default="running"),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("observed_generation", Integer, nullable=False, server_default="0"),
    Column("revision_id", Uuid, nullable=False),
    Column("inference_url", Text),
    Column("schemas", JSONB(none_as_null=True), info=_BULKY),
    Column("error_message", JSONB(none_as_null=True)),
    Column("dynamic_attributes_secrets", JSONB, nullable=False, server_default="{}"),
    Column("created_by_user", Text),
    *_times(),
    _one_of("status", "pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding", "gone"),
    _one_of("desired", "running", "stopped", "deleted"),
    Index(None, "orbit_id", "created_at"),
    Index(None, "satellite_id"),
)

revisions = Table(
    "revisions",
    metadata,
    _id(),
    _parent("deployments"),
    _parent("artifacts", ondelete="RESTRICT"),
    Column("number", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("parameters", JSONB, nullable=False, server_default="{}"),
    Column("env_variables", JSONB, nullable=False, server_default="{}"),
    Column("env_variables_secrets", JSONB, nullable=False, server_default="{}"),
    Column("created_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("deployment_id", "number"),
    Index(None, "artifact_id"),
)

# Work of a satellite names it; work of the server itself, a chore, names neither satellite nor orbit: it must outlive
# the orbit that it clears away.
jobs = Table(
    "jobs",
    metadata,
    _id(),
    _parent("satellites", nullable=True),
    _parent("orbits", nullable=True),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="5"),
    Column("scheduled_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("lease_token", Uuid),
    Column("lease_expires_at", DateTime(timezone=True)),
    Column("result", JSONB(none_as_null=True)),
    *_times(),
    _one_of("state", "queued", "leased", "succeeded", "failed", "dead", "cancelled"),
    CheckConstraint("(state = 'leased') = (lease_token IS NOT NULL)", name="lease"),
    CheckConstraint("(satellite_id IS NULL) = (orbit_id IS NULL)", name="place"),
    Index("jobs_queued_key", "dedupe_key", unique=True, postgresql_where=text("state = 'queued'")),
    Index("jobs_leased_key", "dedupe_key", unique=True, postgresql_where=text("state = 'leased'")),
    Index("jobs_live_idx", "satellite_id", "scheduled_at", postgresql_where=text("state IN ('queued', 'leased')")),
    Index("jobs_history_idx", "satellite_id", "created_at"),
    Index("jobs_finished_at_idx", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)

# Append-only: a trigger refuses whatever else is tried, but for the chore that keeps the operator's retention.
events = Table(
    "events",
    metadata,
    _id(),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("organization_id", Uuid),
    Column("orbit_id", Uuid),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Uuid),
    Column("actor_name", Text),
    Column("action", Text, nullable=False),
    Column("object_id", Uuid),
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
    Column("why", Text),
    Column("ip", Text),
    Index(None, "object_id", "at"),
    Index(None, "orbit_id", "at"),
    Index(None, "organization_id", "at"),
)

webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    _parent("organizations"),
    _parent("orbits", nullable=True),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("actions", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_because", Text),
    Column("secret", LargeBinary, nullable=False),
    Column("old_secret", LargeBinary),
    Column("old_secret_until", DateTime(timezone=True)),
    Column("failing_since", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("paused_until", DateTime(timezone=True)),
    Column("lease_token", Uuid),
    Column("lease_expires_at", DateTime(timezone=True)),
    *_times(),
    Index(None, "organization_id"),
)

# The outbox: one row for each event and each webhook that wants it, written in the transaction of the event. Without
# foreign keys, so that no change in the registry waits for, or fails with, a change of a webhook.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", JSONB, nullable=False, server_default="[]"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("finished_at", DateTime(timezone=True)),
    _one_of("state", "pending", "delivered", "failed"),
    Index("webhook_deliveries_due_idx", "webhook_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    Index(None, "webhook_id", "created_at"),
    Index(None, "created_at"),
)
