"""Who there is and how they sign in."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from luml_app.core.tables.columns import NOW, metadata, one_of, own_id, parent, times

users = Table(
    "users",
    metadata,
    own_id(),
    Column("email", Text, nullable=False),
    Column("full_name", Text),
    Column("photo", Text),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    Column("password_hash", Text),
    Column("auth_method", Text, nullable=False, server_default="EMAIL"),
    Column("email_confirmed_at", DateTime(timezone=True)),
    # Set for a service account: an organization's own user, who is no person and signs in with API keys alone.
    Column("service_of", Uuid, ForeignKey("organizations.id", ondelete="CASCADE")),
    *times(),
    UniqueConstraint("email"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    CheckConstraint("service_of IS NULL OR password_hash IS NULL", name="service_password"),
    Index(None, "service_of"),
)

sessions = Table(
    "sessions",
    metadata,
    own_id(),
    parent("users"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
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
    parent("sessions"),
    Column("kind", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    one_of("kind", "access", "refresh", "link"),
    Index(None, "session_id"),
    Index(None, "expires_at"),
)

# What a mail's link carries. A confirmation brings the password of the sign-up that asked for it: whoever signs up with
# the address of somebody else does not choose the password of the account that its owner will confirm.
account_tokens = Table(
    "account_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    parent("users"),
    Column("kind", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    one_of("kind", "confirm", "reset"),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

# Who somebody is elsewhere: a subject of an issuer. Never an e-mail address, which may change hands.
identities = Table(
    "identities",
    metadata,
    own_id(),
    parent("users"),
    Column("provider", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("email", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
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
    parent("users", nullable=True),
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
    own_id(),
    parent("users"),
    Column("name", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("orbit_id", Uuid, ForeignKey("orbits.id", ondelete="CASCADE")),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    UniqueConstraint("key_hash"),
    UniqueConstraint("user_id", "name"),
    Index(None, "orbit_id"),
)
