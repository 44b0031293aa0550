"""What a search over a whole organization finds."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Literal, Struct, datetime

SearchKind = Literal["artifact", "collection", "track", "deployment", "satellite"]


class Found(Struct, kw_only=True):
    """One object that was found, and where it is. `type` and `status` are those of the kinds that have them.

    `collection_id` is the collection of an artifact.
    """

    kind: SearchKind
    id: UUID
    name: str | None = None
    description: str | None = None
    type: str | None = None
    status: str | None = None
    orbit_id: UUID
    orbit_name: str
    collection_id: UUID | None = None
    created_at: datetime
