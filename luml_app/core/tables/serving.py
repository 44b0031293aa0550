"""Satellites, what they deploy, and the secrets that they are given for it."""

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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from luml_app.core.tables.columns import BULKY, NOW, metadata, one_of, own_id, parent, times

satellites = Table(
    "satellites",
    metadata,
    own_id(),
    parent("orbits"),
    Column("name", Text),
    Column("description", Text),
    Column("base_url", Text),
    Column("slug", Text),
    Column("paired", Boolean, nullable=False, server_default=text("false")),
    Column("capabilities", JSONB, nullable=False, server_default="{}"),
    Column("key_hash", Text, nullable=False),
    Column("last_seen_at", DateTime(timezone=True)),
    # Which of those that share the key works, and until when nobody else may.
    Column("session_instance", Text),
    Column("session_expires_at", DateTime(timezone=True)),
    *times(),
    UniqueConstraint("key_hash"),
    Index(None, "orbit_id"),
)

deployments = Table(
    "deployments",
    metadata,
    own_id(),
    parent("orbits"),
    parent("satellites", ondelete="RESTRICT"),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("tags", ARRAY(Text)),
    Column("status", Text, nullable=False),
    Column("desired", Text, nullable=False, server_default="running"),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("observed_generation", Integer, nullable=False, server_default="0"),
    # The revision that is wanted; while it is rolled out, `stable_id` is the one that has served before, and takes over
    # again when the new one does not hold.
    Column("revision_id", Uuid, nullable=False),
    Column("stable_id", Uuid),
    Column("rollout", JSONB(none_as_null=True)),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("secrets_version", Integer, nullable=False, server_default="0"),
    # The version of each secret, by its id, that the deployment was last told to take over.
    Column("secrets_taken", JSONB, nullable=False, server_default="{}"),
    Column("follow_stage_id", Uuid, ForeignKey("stages.id", ondelete="SET NULL")),
    Column("inference_url", Text),
    Column("schemas", JSONB(none_as_null=True), info=BULKY),
    Column("error_message", JSONB(none_as_null=True)),
    Column("dynamic_attributes_secrets", JSONB, nullable=False, server_default="{}"),
    Column("created_by_user", Text),
    *times(),
    one_of("status", "pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding", "gone"),
    one_of("desired", "running", "stopped", "deleted"),
    Index(None, "orbit_id", "created_at"),
    Index(None, "satellite_id"),
    Index("deployments_follow_stage_id_idx", "follow_stage_id", postgresql_where=text("follow_stage_id IS NOT NULL")),
    CheckConstraint("(stable_id IS NULL) = (rollout IS NULL)", name="rollout"),
)

revisions = Table(
    "revisions",
    metadata,
    own_id(),
    parent("deployments"),
    parent("artifacts", ondelete="RESTRICT"),
    Column("number", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("parameters", JSONB, nullable=False, server_default="{}"),
    Column("env_variables", JSONB, nullable=False, server_default="{}"),
    Column("env_variables_secrets", JSONB, nullable=False, server_default="{}"),
    Column("created_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("served_at", DateTime(timezone=True)),
    Column("problem", JSONB(none_as_null=True)),
    UniqueConstraint("deployment_id", "number"),
    Index(None, "artifact_id"),
)

orbit_secrets = Table(
    "orbit_secrets",
    metadata,
    own_id(),
    parent("orbits"),
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("tags", ARRAY(Text)),
    *times(),
    UniqueConstraint("orbit_id", "name"),
)
