"""What has happened, and who is told of it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, LargeBinary, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from luml_app.core.tables.columns import NOW, metadata, one_of, own_id, parent, times

# Append-only: a trigger refuses whatever else is tried, but for the chore that keeps the operator's retention.
events = Table(
    "events",
    metadata,
    own_id(),
    Column("at", DateTime(timezone=True), nullable=False, server_default=NOW),
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
    own_id(),
    parent("organizations"),
    parent("orbits", nullable=True),
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
    *times(),
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
    one_of("state", "pending", "delivered", "failed"),
    Index("webhook_deliveries_due_idx", "webhook_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    Index(None, "webhook_id", "created_at"),
    Index(None, "created_at"),
)
