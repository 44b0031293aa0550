"""What is known about a packaged file: the facts that an upload declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


class ArtifactInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one artifact file.

    `manifest` as stored, with patches applied; `file_index` maps each member to ``[offset, size]``; `file_hash` is the
    SHA-256 in hex; `size` in bytes; `type` is ``model``, ``dataset`` or ``experiment``; `extra_values` holds the
    numbers by which artifacts are sorted and filtered (NaN and infinities included); `params` holds what an experiment
    was run with.
    """

    manifest: dict[str, Any]
    file_index: dict[str, list[int]]
    file_hash: str
    size: int
    type: str
    extra_values: dict[str, float]
    params: dict[str, Any] = {}


class SavedArtifact(ArtifactInfo, frozen=True, kw_only=True):
    """An artifact that has just been written to `path`."""

    path: Path
