"""Webhooks: addresses to which events are sent."""

from __future__ import annotations

from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Any,
    Description,
    Literal,
    Meta,
    Record,
    Struct,
    UnsetType,
    Url,
    datetime,
)

Pattern = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(\*|[a-z_]+(\.([a-z_]+|\*))?)$")]
Patterns = Annotated[list[Pattern], Meta(min_length=1, max_length=50)]
DeliveryState = Literal["pending", "delivered", "failed"]


class Webhook(Record, kw_only=True):
    """An address to which events are sent; `failing_since` is null while it takes them.

    `actions` are patterns: ``*``, ``artifact.*``, ``track.move``. With `orbit_id`, only events of that orbit are sent.
    """

    organization_id: UUID
    orbit_id: UUID | None = None
    url: str
    description: str | None = None
    actions: list[str]
    enabled: bool
    disabled_because: str | None = None
    failing_since: datetime | None = None
    old_secret_until: datetime | None = None


class WebhookCreate(Struct, kw_only=True):
    """A new webhook."""

    url: Url
    actions: Patterns
    orbit_id: UUID | None = None
    description: Description | None = None


class WebhookUpdate(Struct, kw_only=True):
    """Changes of a webhook; what is not sent stays."""

    url: Url | UnsetType = UNSET
    actions: Patterns | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookSecret(Struct, kw_only=True):
    """A webhook and its secret, which is shown this once."""

    webhook: Webhook
    secret: str


class DeliveryAttempt(Struct, kw_only=True):
    """One attempt to deliver a message: the status and the first bytes of the answer, or the error."""

    at: datetime
    milliseconds: int
    status: int | None = None
    answer: str | None = None
    error: str | None = None


class Delivery(Struct, kw_only=True):
    """A message to a webhook: one event. `id` is the event's, and travels as ``webhook-id``."""

    id: UUID
    webhook_id: UUID
    action: str
    state: DeliveryState
    attempts: list[DeliveryAttempt]
    next_attempt_at: datetime | None = None
    created_at: datetime
    finished_at: datetime | None = None


class Message(Struct, kw_only=True):
    """What a webhook gets: the event's action, its time, and the event, but for the address of who caused it."""

    type: str
    timestamp: datetime
    data: dict[str, Any]
