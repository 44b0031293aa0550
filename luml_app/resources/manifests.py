"""What a manifest says about its artifact."""

from __future__ import annotations

from typing import Any

import msgspec

from luml_app.core.service import problem_of
from luml_app.resources.sizes import check_size
from luml_app.schemas.errors import BadRequest, Invalid

_OF_DATA = ("payload",)
BULK = {"model": ("inputs", "outputs", "dynamic_attributes", "env_vars"), "dataset": _OF_DATA, "experiment": _OF_DATA}
"""What lists leave out of the manifest of an artifact of each type."""


class _ModelManifest(msgspec.Struct):
    variant: str
    producer_name: str
    producer_version: str
    producer_tags: list[str]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    dynamic_attributes: list[dict[str, Any]]
    env_vars: list[dict[str, Any]]
    name: str | None = None
    version: str | None = None
    description: str | None = None


class _DataManifest(msgspec.Struct):
    artifact_type: str
    variant: str
    producer_name: str
    producer_version: str
    producer_tags: list[str]
    payload: dict[str, Any]
    name: str | None = None
    version: str | None = None
    description: str | None = None


def type_of(manifest: dict[str, Any], declared: str | None = None) -> str:
    """The artifact's type: ``model``, ``dataset`` or ``experiment``.

    Raises Invalid for a manifest that is none of them, BadRequest when `declared` says otherwise.
    """
    kind = _check(manifest, _DataManifest).artifact_type if "artifact_type" in manifest else "model"
    if kind == "model" and "artifact_type" not in manifest:
        _check(manifest, _ModelManifest)
    if kind not in {"model", "dataset", "experiment"}:
        raise Invalid.field("manifest.artifact_type", f"{kind!r} is not model, dataset or experiment.")
    if declared is not None and declared != kind:
        raise BadRequest(f"The artifact is declared as a {declared}, but its manifest says that it is a {kind}.")
    listed = {name: value for name, value in manifest.items() if name not in BULK[kind]}
    check_size(listed, "manifest", remedy=f"all but {' and '.join(BULK[kind])} is shown in lists")
    return kind


def _check(manifest: dict[str, Any], shape: Any) -> Any:
    try:
        return msgspec.convert(manifest, shape)
    except msgspec.ValidationError as error:
        raise Invalid(problems=[problem_of(error, ["body", "manifest"])]) from error
