"""Opens a model file, which anybody may have written: what is unsafe in it is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from luml_app.packaging.archive import Archive
from luml_app.packaging.errors import ArchiveError
from satellite.model_server.environment import EnvironmentSpec, spec_of

# Older files lack these; fnnx of their day wants them all the same.
OPTIONAL: dict[str, Any] = {"dtypes.json": {}, "env.json": {}, "meta.json": []}
NEEDED = ("manifest.json", "variant_config.json", "ops.json")
MAX_MEMBERS = 20_000
CHUNK = 1024 * 1024


class NotAModel(Exception):  # noqa: N818
    """The file is not a .luml model; the message says what is wrong with it, and in which member."""


def unpack(archive: Path, folder: Path) -> None:
    """Write the members of a model file below `folder`, an empty one. Links and devices are left out.

    Raises NotAModel when it is no tar, when a member's path is unsafe or used twice, or when it lacks what every
    model has.
    """
    try:
        opened = Archive(archive, max_members=MAX_MEMBERS)
    except ArchiveError as error:
        raise NotAModel(f"The artifact is not a model file: {error}") from error
    missing = [name for name in NEEDED if name not in opened.index]
    if missing:
        raise NotAModel(f"The artifact is not a model: {', '.join(missing)} is missing")
    with archive.open("rb") as source:
        for name, (offset, size) in opened.index.items():
            write_member(source, offset, size, folder / name)
    for subfolder in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        subfolder.chmod(0o755)
    for name, empty in OPTIONAL.items():
        if name not in opened.index:
            (folder / name).write_text(json.dumps(empty))


def write_member(source: BinaryIO, offset: int, size: int, target: Path) -> None:
    """Copy one member out of the archive, readable by everybody (a container has a user of its own)."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as sink:
            for chunk in chunks(source, offset, size):
                sink.write(chunk)
    except FileExistsError:
        # Two names may be one where capitals make no difference.
        raise NotAModel(
            f"Member {target.name!r} is in the model twice, under names that this disk takes for one"
        ) from None
    target.chmod(0o644)


def chunks(source: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """The bytes of one member."""
    source.seek(offset)
    while size > 0 and (chunk := source.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def environment_of(folder: Path) -> EnvironmentSpec:
    """The Python environment that an unpacked model asks for in `env.json`; raises NotAModel."""
    try:
        document = json.loads((folder / "env.json").read_text())
        return spec_of(document.get("python3::conda_pip") or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotAModel(f"Member 'env.json' cannot be understood: {type(error).__name__}: {error}") from error
