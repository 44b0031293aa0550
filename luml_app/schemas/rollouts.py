"""What is asked of rollouts: new revisions, shares, the way back."""

from __future__ import annotations

from luml_app.schemas.fields import UNSET, UUID, Annotated, Any, Meta, Struct, UnsetType, Why
from luml_app.schemas.revisions import Parameters, Percent, Revision, RolloutBounds, Steps


class RolloutCreate(Struct, kw_only=True):
    """How to roll out: all at once, or in a share that is raised by hand or in steps."""

    weight: Percent = 100
    mirror: bool = False
    steps: Steps = []
    bounds: RolloutBounds | None = None


class RevisionCreate(Struct, kw_only=True):
    """A new revision of a deployment; what is not sent is as in the one before."""

    artifact_id: UUID | UnsetType | None = UNSET
    satellite_parameters: Parameters | UnsetType | None = UNSET
    env_variables: dict[str, str] | UnsetType | None = UNSET
    env_variables_secrets: dict[str, UUID] | UnsetType | None = UNSET
    rollout: RolloutCreate | None = None
    why: Why | None = None


class RolloutUpdate(Struct, kw_only=True):
    """Change the share of the new revision; the steps that were planned are given up unless new ones are sent."""

    weight: Percent | UnsetType = UNSET
    mirror: bool | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    bounds: RolloutBounds | UnsetType | None = UNSET
    why: Why | None = None


class Rollback(Struct, kw_only=True):
    """Back to an earlier revision: the named one, else the one that served before."""

    revision_id: UUID | None = None
    why: Why | None = None


class Reason(Struct, kw_only=True):
    """Why."""

    why: Why | None = None


class RollbackReport(Struct, kw_only=True):
    """A satellite takes the new revision back: for which generation, and why."""

    generation: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    error: Annotated[str, Meta(max_length=10_000)] = ""


class RevisionChange(Struct, kw_only=True):
    """One thing that differs: what it is now, and what it would be. None: it is not there."""

    now: Any = None
    then: Any = None


class RevisionDifference(Struct, kw_only=True):
    """What a rollback to the revision `then` would change; `changes` by name, such as ``env_variables.MODE``."""

    now: Revision
    then: Revision
    changes: dict[str, RevisionChange]
