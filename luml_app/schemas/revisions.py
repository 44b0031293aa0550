"""Revisions of deployments, and the rollouts by which one takes the place of another."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Annotated, Document, Meta, Struct, datetime

Parameters = dict[str, bool | int | str]
Percent = Annotated[int, Meta(ge=0, le=100)]
StepSeconds = Annotated[int, Meta(ge=0, le=7 * 24 * 3600)]


class Revision(Struct, kw_only=True):
    """What a deployment serves, never changed once made: the artifact, its sha256, its environment and parameters.

    `served_at` is when it was first seen to serve; `problem` says why it was taken back, as
    ``{"reason": …, "error": …}``.
    """

    id: UUID
    number: int
    artifact_id: UUID
    digest: str
    env_variables: dict[str, str] = {}
    env_variables_secrets: dict[str, str] = {}
    parameters: Parameters = {}
    created_at: datetime
    served_at: datetime | None = None
    problem: Document | None = None


class Follows(Struct, kw_only=True):
    """The stage of a track whose version a deployment serves, whichever that is."""

    track_id: UUID
    track: str
    stage_id: UUID
    stage: str


class RolloutStep(Struct, kw_only=True):
    """The new revision gets `weight` percent of the requests, for `seconds` from the moment that it serves them."""

    weight: Percent
    seconds: StepSeconds = 0


Steps = Annotated[list[RolloutStep], Meta(max_length=20)]


class RolloutBounds(Struct, kw_only=True):
    """What the new revision must keep to, or the satellite takes it back.

    `error_rate` is the share of its requests that fail (0.05: five of a hundred), `p95_seconds` the time within which
    95 of a hundred are answered, both over the last two minutes and once there were `min_requests`.
    """

    error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    p95_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    min_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 20


class Rollout(Struct, kw_only=True):
    """A rollout that is under way: the new revision gets `weight` percent of the requests, the stable one the rest.

    As a `mirror` it gets a copy of every request, and its answers are dropped. `step` is the index of the step of
    `steps` that it is in.
    """

    weight: int = 100
    mirror: bool = False
    steps: list[RolloutStep] = []
    step: int = 0
    bounds: RolloutBounds | None = None


class Target(Struct, kw_only=True):
    """A revision in its part: `weight` percent of the requests, or, as a `mirror`, a copy of each.

    One with neither stands by: it runs, and serves while the others cannot.
    """

    revision: Revision
    weight: int
    mirror: bool = False
