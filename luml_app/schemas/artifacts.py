"""Artifacts: models, datasets and experiments."""

from __future__ import annotations

from luml_app.schemas.buckets import Upload
from luml_app.schemas.collections import Collection
from luml_app.schemas.deployments import Deployment, DeploymentBase
from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Document,
    Literal,
    LongDescription,
    ManyTags,
    Meta,
    Page,
    Record,
    Struct,
    UnsetType,
    datetime,
)

ArtifactType = Literal["model", "experiment", "dataset"]
ArtifactStatus = Literal["pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"]
ArtifactStatusUpdate = Literal["uploaded", "upload_failed", "deletion_failed"]
ArtifactName = Annotated[str, Meta(max_length=255)]
FileName = Annotated[str, Meta(max_length=255, pattern=r"""^[^:"*`~#%;'^]+\.[^\s:"*`~#%;'^]+$""")]
ValueName = Annotated[str, Meta(min_length=1, max_length=200)]
FileIndex = dict[str, tuple[int, int]]
ArtifactIds = Annotated[list[UUID], Meta(min_length=1, max_length=500)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$", max_length=64)]


class ArtifactListed(Record, kw_only=True):
    """An artifact in a list. `manifest` and `file_index` are empty here; `artifacts.get` gives them."""

    collection_id: UUID
    collection_name: str
    type: ArtifactType
    name: str | None = None
    description: str | None = None
    file_name: str
    file_hash: str
    size: int
    status: ArtifactStatus
    tags: list[str] | None = None
    extra_values: Document = {}
    manifest: Document = {}
    file_index: FileIndex = {}
    bucket_location: str
    unique_identifier: str
    created_by_user: str | None = None
    deployments: list[DeploymentBase] = []
    params: Document = {}


class ArtifactPage(Page[ArtifactListed], kw_only=True):
    """One page of artifacts, and the `total` of all pages if it was asked for."""

    total: int | None = None


class Artifact(Record, kw_only=True):
    """One stored file: a model, a dataset or an experiment. `file_hash` is its sha256 in hex, `size` in bytes."""

    collection_id: UUID
    type: ArtifactType
    name: str | None = None
    description: str | None = None
    file_name: str
    file_hash: str
    file_index: FileIndex
    size: int
    status: ArtifactStatus
    tags: list[str] | None = None
    extra_values: Document
    params: Document
    manifest: Document
    bucket_location: str
    unique_identifier: str
    created_by_user: str | None = None


class TrackBase(Struct, kw_only=True):
    """A track by name."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime | None = None


class ArtifactDetails(Artifact, kw_only=True):
    """An artifact with where it stands and what uses it."""

    collection: Collection
    deployments: list[Deployment] | None = None
    tracks: list[TrackBase] = []


class ArtifactCreate(Struct, kw_only=True):
    """An artifact that is about to be uploaded.

    Without a `name` it has that of its file. `extra_values` are its metrics, `params` what it was made with: numbers,
    texts, booleans, each under its name.
    """

    file_name: FileName
    manifest: Document
    file_index: FileIndex
    file_hash: Sha256
    size: Annotated[int, Meta(ge=1, le=5 * 1024**4)]
    extra_values: Document = {}
    params: Document = {}
    name: ArtifactName | None = None
    description: LongDescription | None = None
    tags: ManyTags | None = None
    type: ArtifactType | None = None


class ArtifactCreated(Struct, kw_only=True):
    """The new artifact and where to send its bytes."""

    artifact: Artifact
    upload_details: Upload


class ArtifactUpdate(Struct, kw_only=True):
    """Changes of an artifact; what is not sent stays. `status` reports how an upload or a deletion went.

    `metrics` (in `extra_values`) and `params` are merged with what is there: each name that is sent gets its value,
    null removes it, and the others stay.
    """

    name: ArtifactName | UnsetType | None = UNSET
    description: LongDescription | UnsetType | None = UNSET
    tags: ManyTags | UnsetType | None = UNSET
    status: ArtifactStatusUpdate | UnsetType | None = UNSET
    metrics: dict[ValueName, int | float | None] | UnsetType | None = UNSET
    params: dict[ValueName, str | int | float | bool | None] | UnsetType | None = UNSET


class ArtifactBase(Struct, kw_only=True):
    """An artifact by name and place; `size` in bytes."""

    id: UUID
    collection_id: UUID
    collection_name: str
    type: ArtifactType
    name: str | None = None
    file_name: str
    size: int
    created_at: datetime


class ArtifactMove(Struct, kw_only=True):
    """Where an artifact goes."""

    target_collection_id: UUID


class ArtifactBatchMove(Struct, kw_only=True):
    """Which artifacts go where."""

    artifact_ids: ArtifactIds
    target_collection_id: UUID


class ArtifactBatchDelete(Struct, kw_only=True):
    """Which artifacts go."""

    artifact_ids: ArtifactIds


class Refusal(Struct, kw_only=True):
    """One object for which something could not be done, and why."""

    id: UUID
    reason: str


class ArtifactsChanged(Struct, kw_only=True):
    """For which artifacts it was done, and for which not, and why."""

    done: list[UUID]
    refused: list[Refusal]


class SignedUrl(Struct, kw_only=True):
    """A signed address that expires."""

    url: str
