"""Named groups of artifacts."""

from __future__ import annotations

from luml_app.schemas.fields import UNSET, UUID, Description, Literal, Name, Record, Struct, Tags, UnsetType

CollectionType = Literal[
    "model", "dataset", "experiment", "model_dataset", "dataset_experiment", "model_experiment", "mixed"
]
CollectionTypeFilter = Literal["model", "dataset", "experiment", "mixed"]
CollectionSort = Literal["created_at", "name", "type", "description", "total_artifacts"]


class Collection(Record, kw_only=True):
    """A named group of artifacts of given types."""

    orbit_id: UUID
    name: str
    description: str
    type: CollectionType
    tags: list[str] | None = None
    total_artifacts: int = 0


class CollectionDetails(Collection, kw_only=True):
    """A collection with the tags and the searchable values that occur in it."""

    artifacts_tags: list[str] = []
    artifacts_extra_values: list[str] = []


class CollectionCreate(Struct, kw_only=True):
    """A new collection."""

    name: Name
    type: CollectionType
    description: Description = ""
    tags: Tags | None = None


class CollectionUpdate(Struct, kw_only=True):
    """Changes of a collection; what is not sent stays."""

    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
