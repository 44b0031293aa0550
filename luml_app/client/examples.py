"""The example that is stored with a model, read by range without fetching the model."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from luml_app.client.objects import ArtifactHandle
from luml_app.client.transfers import read_range
from luml_app.schemas.errors import NotFound

_TAG = "input_example:v1"
_NAME = re.compile(r"meta(-[^/]+)?\.json")


def stored_example(artifact: ArtifactHandle) -> dict[str, Any]:
    """The inputs, by name, of the example. Raises NotFound for a model that was stored without one."""
    for entry in _metadata(artifact):
        # Older files say `tags`.
        tags = entry.get("producer_tags") or entry.get("tags") or []
        if any(str(tag).rpartition("::")[2] == _TAG for tag in tags):
            return dict(entry["payload"]["inputs"])
    raise NotFound(f"The model {artifact.data.name!r} has no stored example; send inputs of your own.")


def _metadata(artifact: ArtifactHandle) -> list[dict[str, Any]]:
    places = [place for member, place in sorted(artifact.data.file_index.items()) if _NAME.fullmatch(member)]
    if not any(size for _, size in places):
        return []
    client = artifact.orbit.client
    url = client.artifacts.download_url(*artifact.ids).url
    found: list[dict[str, Any]] = []
    for offset, size in places:
        entries = msgspec.json.decode(read_range(client.direct, url, offset, size)) if size else []
        found += [entry for entry in entries if isinstance(entry, dict)]
    return found
