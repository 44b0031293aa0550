"""Events: the audit log, and what webhooks carry."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Any, Struct, datetime


class Event(Struct, kw_only=True):
    """Who did what to which object, when, and why. `before` and `after` hold what changed, and never a secret."""

    id: UUID
    at: datetime
    action: str
    actor_kind: str
    actor_id: UUID | None = None
    actor_name: str | None = None
    organization_id: UUID | None = None
    orbit_id: UUID | None = None
    object_id: UUID | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    why: str | None = None
    ip: str | None = None
