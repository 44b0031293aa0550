"""Deployments: models served on a satellite."""

from __future__ import annotations

from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Description,
    Document,
    Literal,
    Meta,
    Name,
    Record,
    Struct,
    Tags,
    UnsetType,
)

DeploymentStatus = Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"]
Desired = Literal["running", "stopped", "deleted"]
Parameters = dict[str, bool | int | str]


class DeploymentBase(Struct, kw_only=True):
    """A deployment by name."""

    id: UUID
    name: str
    status: DeploymentStatus
    orbit_id: UUID


class Revision(Struct, kw_only=True):
    """What a deployment serves, never changed once made: the artifact, its sha256, its environment and parameters."""

    id: UUID
    number: int
    artifact_id: UUID
    digest: str
    env_variables: dict[str, str] = {}
    parameters: Parameters = {}


class Deployment(Record, kw_only=True):
    """A model served on a satellite: what is desired on one side, what has been observed on the other."""

    name: str
    status: DeploymentStatus
    orbit_id: UUID
    satellite_id: UUID
    satellite_name: str
    artifact_id: UUID
    artifact_name: str
    collection_id: UUID
    model_id: UUID
    model_artifact_name: str
    inference_url: str | None = None
    satellite_parameters: Parameters = {}
    description: str | None = None
    dynamic_attributes_secrets: dict[str, str] = {}
    env_variables_secrets: dict[str, str] = {}
    env_variables: dict[str, str] = {}
    schemas: Document | None = None
    error_message: Document | None = None
    created_by_user: str | None = None
    tags: list[str] | None = None
    desired: Desired = "running"
    generation: int = 1
    observed_generation: int = 0
    revision: Revision


class DeploymentCreate(Struct, kw_only=True):
    """A new deployment of an uploaded model on a paired satellite."""

    satellite_id: UUID
    artifact_id: UUID
    name: Name
    satellite_parameters: Parameters = {}
    description: Description | None = None
    env_variables: dict[str, str] = {}
    dynamic_attributes_secrets: dict[str, UUID] = {}
    env_variables_secrets: dict[str, UUID] = {}
    tags: Tags | None = None


class DeploymentUpdate(Struct, kw_only=True):
    """Changes of a deployment's description; what is not sent stays."""

    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    dynamic_attributes_secrets: dict[str, UUID] | UnsetType | None = UNSET


class DeploymentReport(Struct, kw_only=True):
    """What a satellite has observed. With `generation` it counts only while that is still the desired one."""

    inference_url: Annotated[str, Meta(max_length=2048)] | UnsetType | None = UNSET
    status: DeploymentStatus | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    schemas: Document | UnsetType | None = UNSET
    error_message: Document | UnsetType | None = UNSET
    generation: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class DeploymentStatusReport(Struct, kw_only=True):
    """A satellite's report of the status alone."""

    status: DeploymentStatus
