"""What the platform wants of this satellite, read tolerantly: our server says more than the contract does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

MOST_REPLICAS = 64
Desired = Literal["running", "stopped", "deleted"]


@dataclass(frozen=True)
class Revision:
    """What to serve; never changes once made. `id` is short and fit for names of files and containers."""

    id: str
    artifact_id: str
    digest: str | None
    env_variables: dict[str, str] = field(default_factory=dict, repr=False)
    env_secrets: dict[str, str] = field(default_factory=dict)
    attribute_secrets: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A revision in its part: `weight` percent of the requests, or, as a `mirror`, a copy of each and no say."""

    revision: Revision
    weight: int = 100
    mirror: bool = False

    @property
    def replicas(self) -> int:
        """How many replicas serve it; one where the parameter makes no sense, which their start then says."""
        try:
            return min(MOST_REPLICAS, max(1, int(self.revision.parameters.get("replicas", 1))))
        except (TypeError, ValueError):
            return 1


@dataclass(frozen=True)
class Deployment:
    """One deployment: what is desired, and what the platform last heard of it."""

    id: str
    desired: Desired
    targets: tuple[Target, ...]
    status: str = "pending"
    generation: int | None = None
    inference_url: str | None = None
    error_message: dict[str, Any] | None = None
    has_schemas: bool = False


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
        inference_url=raw.get("inference_url"),
        error_message=raw.get("error_message"),
        has_schemas=bool(raw.get("schemas")),
    )


def parse_targets(raw: dict[str, Any]) -> tuple[Target, ...]:
    """The targets of a deployment. Where none are listed, as by a plain contract server, its one revision is all."""
    return tuple(
        Target(parse_revision(raw, one["revision"]), int(one["weight"]), bool(one.get("mirror")))
        for one in raw.get("targets") or ()
    ) or (Target(parse_revision(raw, raw.get("revision") or {})),)


def parse_revision(raw: dict[str, Any], given: dict[str, Any]) -> Revision:
    """A revision; what it does not say itself, as on a plain contract server, the deployment's own fields say."""
    content = {
        "artifact_id": str(given.get("artifact_id") or raw["artifact_id"]),
        "digest": given.get("digest"),
        "env_variables": given.get("env_variables", raw.get("env_variables") or {}),
        "env_secrets": given.get("env_variables_secrets", raw.get("env_variables_secrets") or {}),
        "attribute_secrets": raw.get("dynamic_attributes_secrets") or {},
        "parameters": given.get("parameters", raw.get("satellite_parameters") or {}),
    }
    return Revision(id=revision_id(given, content), **content)


def revision_id(given: dict[str, Any], content: dict[str, Any]) -> str:
    """Twelve digits that change whenever anything that a replica is started with changes."""
    identity = [str(given.get("id", "")), given.get("restarts", 0), content]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:12]
