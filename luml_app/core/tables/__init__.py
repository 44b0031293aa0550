"""The tables. Every constraint has a name, by which `core.errors` says what was wrong with a row."""

from __future__ import annotations

from luml_app.core.tables.accounts import (
    account_tokens,
    api_keys,
    identities,
    provider_visits,
    session_tokens,
    sessions,
    throttles,
    users,
)
from luml_app.core.tables.columns import metadata
from luml_app.core.tables.history import events, webhook_deliveries, webhooks
from luml_app.core.tables.places import buckets, invites, orbit_members, orbits, organization_members, organizations
from luml_app.core.tables.registry import (
    artifact_values,
    artifacts,
    collection_words,
    collections,
    stages,
    track_entries,
    tracks,
)
from luml_app.core.tables.serving import deployments, orbit_secrets, revisions, satellites
from luml_app.core.tables.work import deletions, doomed_objects, jobs, satellite_logins

__all__ = [
    "account_tokens",
    "api_keys",
    "artifact_values",
    "artifacts",
    "buckets",
    "collection_words",
    "collections",
    "deletions",
    "deployments",
    "doomed_objects",
    "events",
    "identities",
    "invites",
    "jobs",
    "metadata",
    "orbit_members",
    "orbit_secrets",
    "orbits",
    "organization_members",
    "organizations",
    "provider_visits",
    "revisions",
    "satellite_logins",
    "satellites",
    "session_tokens",
    "sessions",
    "stages",
    "throttles",
    "track_entries",
    "tracks",
    "users",
    "webhook_deliveries",
    "webhooks",
]
