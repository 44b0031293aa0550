"""The example that is stored with a model, read by range without fetching the model."""

from __future__ import annotations

import json
from typing import Any

import httpx

from luml_app.client.objects import ArtifactHandle
from luml_app.schemas.errors import NotFound, Unavailable

_TAG = "input_example:v1"


def stored_example(artifact: ArtifactHandle) -> dict[str, Any]:
    """The inputs, by name, of the example. Raises NotFound for a model that was stored without one."""
    for entry in _metadata(artifact):
        if any(tag.rpartition("::")[2] == _TAG for tag in entry.get("producer_tags", [])):
            return dict(entry["payload"]["inputs"])
    raise NotFound(f"The model {artifact.data.name!r} has no stored example; send inputs of your own.")


def _metadata(artifact: ArtifactHandle) -> list[dict[str, Any]]:
    offset, size = artifact.data.file_index.get("meta.json", (0, 0))
    if not size:
        return []
    url = artifact.orbit.client.artifacts.download_url(*artifact.ids).url
    answer = httpx.get(url, headers={"Range": f"bytes={offset}-{offset + size - 1}"}, timeout=30)
    if not answer.is_success:
        raise Unavailable(f"The bucket does not give the model's metadata ({answer.status_code}).")
    # A bucket that does not know ranges sends the whole object.
    content = (
        answer.content if answer.status_code == httpx.codes.PARTIAL_CONTENT else answer.content[offset : offset + size]
    )
    return list(json.loads(content))
