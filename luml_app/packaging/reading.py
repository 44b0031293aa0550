"""Any artifact file that exists already, whoever wrote it: what kind it is and what an upload says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from luml_app.packaging.archive import MANIFEST, Archive
from luml_app.packaging.artifact import ArtifactInfo
from luml_app.packaging.errors import ArchiveError
from luml_app.packaging.metadata import numbers, registry_metrics
from luml_app.packaging.metrics_database import last_values

_META_NAME = re.compile(r"meta(-[^/]+)?\.json")
_EXPERIMENT_NAME = re.compile(r"(meta_artifacts/.+/)?exp\.db\.zip")
_MODEL_MEMBERS = {MANIFEST, "variant_config.json", "ops.json"}


def read_artifact(path: str | Path) -> ArtifactInfo:
    """Read the facts of a model, dataset or experiment file. Its content decides, not its name.

    Broken metadata entries are passed over. Raises `ArchiveError` when the file is no artifact at all, or is unsafe,
    and `FileNotFoundError` when there is none.
    """
    archive = Archive(path)
    extra_values, params = searchable_values(archive)
    return ArtifactInfo(
        type=artifact_type(archive.index, archive.manifest),
        manifest=archive.manifest,
        file_index=archive.index,
        file_hash=archive.sha256(),
        size=archive.size,
        extra_values=extra_values,
        params=params,
    )


def artifact_type(members: Iterable[str], manifest: Mapping[str, Any]) -> str:
    """``model``, ``dataset`` or ``experiment``, from the members' names and the manifest. Raises `ArchiveError`."""
    if set(members) >= _MODEL_MEMBERS:
        return "model"
    declared = manifest.get("artifact_type")
    if declared in ("dataset", "experiment"):
        return str(declared)
    raise ArchiveError(
        f"Not an artifact: it holds neither {', '.join(sorted(_MODEL_MEMBERS))} of a model, nor a manifest with the "
        f"artifact_type 'dataset' or 'experiment' (it is {declared!r})."
    )


def searchable_values(archive: Archive) -> tuple[dict[str, float], dict[str, Any]]:
    """The searchable numbers of an archive: a dataset's own, last metrics of experiments, then registry metrics; and
    the parameters of experiments.
    """
    payload = archive.manifest.get("payload")
    found = numbers(payload.get("metrics")) if isinstance(payload, dict) else {}
    params: dict[str, Any] = {}
    for name in sorted(filter(_EXPERIMENT_NAME.fullmatch, archive.index)):
        last, logged = last_values(archive, name)
        found |= last
        params |= logged
    return found | registry_metrics(_meta_entries(archive)), params


def _meta_entries(archive: Archive) -> Iterator[Any]:
    """Entries of ``meta.json`` and its sidecars; a file that is no list is passed over, as every reader does."""
    names = sorted(filter(_META_NAME.fullmatch, archive.index), key=lambda name: (name != "meta.json", name.encode()))
    for name in names:
        try:
            entries = archive.read_json(name)
        except ArchiveError:
            continue
        if isinstance(entries, list):
            yield from entries
