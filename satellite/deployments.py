"""What the platform wants of this satellite, read tolerantly: our server says more than the contract does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

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
class Deployment:
    """One deployment: what is desired, and what the platform last heard of it."""

    id: str
    desired: Desired
    revision: Revision
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
        revision=parse_revision(raw),
        status=status,
        generation=raw.get("generation"),
        inference_url=raw.get("inference_url"),
        error_message=raw.get("error_message"),
        has_schemas=bool(raw.get("schemas")),
    )


def parse_revision(raw: dict[str, Any]) -> Revision:
    """The revision of a deployment; a plain contract server has none, so the deployment's own fields make it."""
    given = raw.get("revision") or {}
    content = {
        "artifact_id": str(given.get("artifact_id") or raw["artifact_id"]),
        "digest": given.get("digest"),
        "env_variables": given.get("env_variables", raw.get("env_variables") or {}),
        "env_secrets": raw.get("env_variables_secrets") or {},
        "attribute_secrets": raw.get("dynamic_attributes_secrets") or {},
        "parameters": given.get("parameters", raw.get("satellite_parameters") or {}),
    }
    return Revision(id=revision_id(given, content), **content)


def revision_id(given: dict[str, Any], content: dict[str, Any]) -> str:
    """Twelve digits that change whenever anything that a replica is started with changes."""
    identity = [str(given.get("id", "")), content]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:12]
