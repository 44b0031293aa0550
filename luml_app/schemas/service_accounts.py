"""Service accounts: users of an organization that are no people."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Name, Struct, datetime


class ServiceAccount(Struct, kw_only=True):
    """An organization's user for programs. It is a member like others, has API keys, and no password."""

    id: UUID
    organization_id: UUID
    name: str
    email: str
    created_at: datetime


class ServiceAccountCreate(Struct, kw_only=True):
    """A new service account."""

    name: Name
