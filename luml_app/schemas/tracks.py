"""Tracks: named lines of versions, with stages."""

from __future__ import annotations

from luml_app.schemas.artifacts import ArtifactType
from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Literal,
    LongDescription,
    LongName,
    ManyTags,
    Meta,
    Record,
    Struct,
    UnsetType,
    Why,
    datetime,
)

TrackSort = Literal["name", "description", "total_entries", "created_at"]
TrackEntrySort = Literal["artifact_name", "description", "stage", "version", "created_at"]


class Version(Struct, kw_only=True):
    """A version of a track as it was: its artifact may have been renamed or deleted since."""

    entry_id: UUID
    version: int
    artifact_id: UUID
    artifact_name: str | None = None
    digest: str
    stage_id: UUID | None = None
    stage: str | None = None


class Stage(Record, kw_only=True):
    """A named place in a track that points at one version at most; if `protected`, only orbit admins move it.

    `version` (null: none) is there when a stage is read by its id, or as of a moment.
    """

    track_id: UUID
    name: str
    is_used: bool = False
    protected: bool = False
    version: Version | UnsetType | None = UNSET


class StageChange(Struct, kw_only=True):
    """A stage of a track: with `id` an existing one (renamed when `name` differs), without a new one.

    `protected`, when not sent, stays as it is; only orbit admins set it.
    """

    name: LongName
    id: UUID | None = None
    protected: bool | UnsetType = UNSET


class Track(Record, kw_only=True):
    """A named line of versions of artifacts of one type; its `versions`, by number, are there as of a moment only."""

    orbit_id: UUID
    name: str
    artifact_type: ArtifactType
    description: str | None = None
    tags: list[str] | None = None
    stages: list[Stage] = []
    next_version: int
    total_entries: int
    as_of: datetime | UnsetType = UNSET
    versions: list[Version] | UnsetType = UNSET


class TrackCreate(Struct, kw_only=True):
    """A new track with its stages, in their order, and which of them are protected."""

    name: LongName
    artifact_type: ArtifactType
    description: LongDescription | None = None
    tags: ManyTags | None = None
    stages: Annotated[list[LongName], Meta(max_length=100)] = []
    protected_stages: Annotated[list[LongName], Meta(max_length=100)] = []


class TrackUpdate(Struct, kw_only=True):
    """Changes of a track; what is not sent stays. `stages`, when sent, is the whole list."""

    name: LongName | UnsetType | None = UNSET
    description: LongDescription | UnsetType | None = UNSET
    tags: ManyTags | UnsetType | None = UNSET
    stages: Annotated[list[StageChange], Meta(max_length=100)] | UnsetType | None = UNSET


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
    why: Why | None = None


class TrackEntryUpdate(Struct, kw_only=True):
    """Moves a version into a stage, or (null) out of it; the history keeps `why`."""

    stage_id: UUID | UnsetType | None = UNSET
    why: Why | None = None


class TrackEntriesDelete(Struct, kw_only=True):
    """Versions to take out of a track; the history keeps `why`."""

    entry_ids: Annotated[list[UUID], Meta(min_length=1, max_length=10_000)]
    why: Why | None = None


class Tenure(Struct, kw_only=True):
    """A time in which one version was in a stage; `until` is null for the one that is there now.

    `by` (and `why`) is who put it there, `ended_by` (and `ended_why`) who took it out.
    """

    stage_id: UUID
    version: Version
    since: datetime
    until: datetime | None = None
    by: str | None = None
    by_id: UUID | None = None
    why: str | None = None
    ended_by: str | None = None
    ended_by_id: UUID | None = None
    ended_why: str | None = None
