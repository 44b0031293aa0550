"""What the platform wants of this satellite, read tolerantly: our server says more than the contract does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

MOST_REPLICAS = 64
Desired = Literal["running", "stopped", "deleted"]


@dataclass(frozen=True)
class Revision:
    """What to serve; never changes once made. `id` is short and fit for names of files and containers, `number` is what
    people call it.
    """

    id: str
    artifact_id: str
    digest: str | None
    env_variables: dict[str, str] = field(default_factory=dict, repr=False)
    env_secrets: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    number: int | None = None


@dataclass(frozen=True)
class Target:
    """A revision in its part: `weight` percent of the requests, or, as a `mirror`, a copy of each and no say.

    One that is on `standby` runs, and serves only while no other can.
    """

    revision: Revision
    weight: int = 100
    mirror: bool = False
    standby: bool = False

    @property
    def replicas(self) -> int:
        """How many replicas serve it; one where the parameter makes no sense, which their start then says."""
        try:
            return min(MOST_REPLICAS, max(1, int(self.revision.parameters.get("replicas", 1))))
        except (TypeError, ValueError):
            return 1


@dataclass(frozen=True)
class Bounds:
    """What a new revision must keep to: the share of requests that fail, and the time of the 95th percentile (seconds),
    once there were `min_requests`.
    """

    error_rate: float | None = None
    p95_seconds: float | None = None
    min_requests: int = 20


@dataclass(frozen=True)
class Deployment:
    """One deployment: what is desired, and what the platform last heard of it. The newest revision is the last target.

    `attribute_secrets` are the ids of secrets by the dynamic attribute that each fills; their values may be other ones
    whenever `secrets_version` is.
    """

    id: str
    desired: Desired
    targets: tuple[Target, ...]
    status: str = "pending"
    generation: int | None = None
    observed_generation: int | None = None
    bounds: Bounds | None = None
    attribute_secrets: dict[str, str] = field(default_factory=dict)
    secrets_version: int = 0
    inference_url: str | None = None
    error_message: dict[str, Any] | None = None
    has_schemas: bool = False

    @property
    def has_served(self) -> bool:
        """Whether the platform has heard that what is wanted now serves; with an error, something older does."""
        heard = self.generation is not None and self.observed_generation == self.generation
        return heard and self.status == "active" and not self.error_message

    @property
    def newest(self) -> Revision:
        """The revision that is wanted in the end."""
        return self.targets[-1].revision

    def taken_back(self) -> Deployment:
        """The same without its newest revision: the one before serves everything."""
        return replace(self, targets=(Target(self.targets[0].revision),), bounds=None)


def parse_deployment(raw: dict[str, Any]) -> Deployment:
    """Read a deployment from JSON, with or without the fields that the contract does not know."""
    status = raw.get("status") or "pending"
    desired: Desired = raw.get("desired") or "running"
    if status in {"deletion_pending", "deletion_failed"}:
        desired = "deleted"
    return Deployment(
        id=str(raw["id"]),
        desired=desired,
        targets=parse_targets(raw),
        status=status,
        generation=raw.get("generation"),
        observed_generation=raw.get("observed_generation"),
        bounds=parse_bounds((raw.get("rollout") or {}).get("bounds")),
        attribute_secrets=raw.get("dynamic_attributes_secrets") or {},
        secrets_version=raw.get("secrets_version") or 0,
        inference_url=raw.get("inference_url"),
        error_message=raw.get("error_message"),
        has_schemas=bool(raw.get("schemas")),
    )


def parse_targets(raw: dict[str, Any]) -> tuple[Target, ...]:
    """The targets of a deployment. Where none are listed, as by a plain contract server, its one revision is all."""
    listed = raw.get("targets") or ()
    if not listed:
        return (Target(parse_revision(raw, raw.get("revision") or {})),)
    return tuple(parse_target(raw, one, newest=one is listed[-1]) for one in listed)


def parse_target(raw: dict[str, Any], one: dict[str, Any], *, newest: bool) -> Target:
    """A target. The newest revision is never on standby: without a share, too, it has to show that it can serve."""
    weight, mirror = int(one["weight"]), bool(one.get("mirror"))
    return Target(parse_revision(raw, one["revision"]), weight, mirror, standby=not (weight or mirror or newest))


def parse_bounds(raw: dict[str, Any] | None) -> Bounds | None:
    """The bounds of a rollout, if it has some."""
    if not raw or (raw.get("error_rate") is None and raw.get("p95_seconds") is None):
        return None
    return Bounds(raw.get("error_rate"), raw.get("p95_seconds"), int(raw.get("min_requests") or 1))


def parse_revision(raw: dict[str, Any], given: dict[str, Any]) -> Revision:
    """A revision; what it does not say itself, as on a plain contract server, the deployment's own fields say."""
    content = {
        "artifact_id": str(given.get("artifact_id") or raw["artifact_id"]),
        "digest": given.get("digest"),
        "env_variables": given.get("env_variables", raw.get("env_variables") or {}),
        "env_secrets": given.get("env_variables_secrets", raw.get("env_variables_secrets") or {}),
        "parameters": given.get("parameters", raw.get("satellite_parameters") or {}),
    }
    return Revision(
        id=revision_id(str(given.get("id", "")), raw.get("restarts") or 0, content),
        number=given.get("number"),
        **content,
    )


def revision_id(given: str, restarts: int, content: dict[str, Any]) -> str:
    """Twelve digits that change whenever anything that a replica is started with changes, or a restart is asked for."""
    identity = [given, restarts, content]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:12]
