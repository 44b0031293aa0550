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
from luml_app.schemas.revisions import Follows, Parameters, Revision, Rollout, Target

DeploymentStatus = Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"]
Desired = Literal["running", "stopped", "deleted"]


class DeploymentBase(Struct, kw_only=True):
    """A deployment by name."""

    id: UUID
    name: str
    status: DeploymentStatus
    orbit_id: UUID


class Deployment(Record, kw_only=True):
    """A model served on a satellite: what is desired on one side, what has been observed on the other.

    `revision` is the newest one that is wanted, `targets` are all that serve while a `rollout` is under way. It is done
    when `observed_generation` is `generation` and `rollout` null.
    """

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
    targets: list[Target] = []
    rollout: Rollout | None = None
    restarts: int = 0
    secrets_version: int = 0
    follows: Follows | None = None


class DeploymentCreate(Struct, kw_only=True):
    """A new deployment of an uploaded model on a paired satellite.

    Instead of `artifact_id`, `follow_stage_id` deploys the version that is in a stage of a track, and whichever comes
    there after it.
    """

    satellite_id: UUID
    artifact_id: UUID | UnsetType = UNSET
    follow_stage_id: UUID | None = None
    name: Name
    satellite_parameters: Parameters = {}
    description: Description | None = None
    env_variables: dict[str, str] = {}
    dynamic_attributes_secrets: dict[str, UUID] = {}
    env_variables_secrets: dict[str, UUID] = {}
    tags: Tags | None = None


class DeploymentUpdate(Struct, kw_only=True):
    """Changes of a deployment's description; what is not sent stays. `follow_stage_id` null ends the following."""

    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    dynamic_attributes_secrets: dict[str, UUID] | UnsetType | None = UNSET
    follow_stage_id: UUID | UnsetType | None = UNSET


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
