"""Tracks: named lines of versions, with stages."""

from __future__ import annotations

from luml_app.schemas.artifacts import ArtifactType
from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Description,
    Literal,
    Meta,
    Name,
    Record,
    Struct,
    Tags,
    UnsetType,
)

TrackSort = Literal["name", "description", "total_entries", "created_at"]
TrackEntrySort = Literal["artifact_name", "description", "stage", "version", "created_at"]


class Stage(Record, kw_only=True):
    """A named place in a track that points at one version at most."""

    track_id: UUID
    name: str
    is_used: bool = False


class StageChange(Struct, kw_only=True):
    """A stage of a track: with `id` an existing one (renamed when `name` differs), without a new one."""

    name: Name
    id: UUID | None = None


class Track(Record, kw_only=True):
    """A named line of versions of artifacts of one type."""

    orbit_id: UUID
    name: str
    artifact_type: ArtifactType
    description: str | None = None
    tags: list[str] | None = None
    stages: list[Stage] = []
    next_version: int
    total_entries: int


class TrackCreate(Struct, kw_only=True):
    """A new track with its stages, in their order."""

    name: Name
    artifact_type: ArtifactType
    description: Description | None = None
    tags: Tags | None = None
    stages: list[Name] = []


class TrackUpdate(Struct, kw_only=True):
    """Changes of a track; what is not sent stays. `stages`, when sent, is the whole list."""

    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    stages: list[StageChange] | UnsetType | None = UNSET


class TrackEntry(Record, kw_only=True):
    """One version in a track."""

    track_id: UUID
    artifact_id: UUID
    version: int
    added_by: UUID
    stage_id: UUID | None = None
    stage_name: str | None = None
    artifact_collection_id: UUID | None = None
    artifact_name: str | None = None
    artifact_description: str | None = None


class TrackEntryCreate(Struct, kw_only=True):
    """The next version of a track, put into a stage if wished."""

    artifact_id: UUID
    stage_id: UUID | None = None


class TrackEntryUpdate(Struct, kw_only=True):
    """Moves a version into a stage, or (null) out of it."""

    stage_id: UUID | UnsetType | None = UNSET


class TrackEntriesDelete(Struct, kw_only=True):
    """Versions to take out of a track."""

    entry_ids: Annotated[list[UUID], Meta(min_length=1)]
