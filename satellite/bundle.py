"""Opens a model file: a tar of which only regular files at safe paths are believed."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

# Older files lack these; fnnx of their day wants them all the same.
OPTIONAL: dict[str, Any] = {"dtypes.json": {}, "env.json": {}, "meta.json": []}
NEEDED = ("manifest.json", "variant_config.json", "ops.json")


class NotAModel(Exception):  # noqa: N818
    """The file is not a .luml model; the message says what is missing."""


def unpack(archive: Path, folder: Path) -> None:
    """Write the members of a model file below `folder`, dropping links, devices and paths that lead outside.

    Raises NotAModel when it is no tar or lacks what every model has.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                if member.isreg() and is_safe(member.name):
                    write_member(tar, member, folder)
    except tarfile.TarError as error:
        raise NotAModel(f"The artifact is not a model file (an uncompressed tar): {error}") from error
    for subfolder in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        subfolder.chmod(0o755)
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise NotAModel(f"The artifact is not a model: {', '.join(missing)} is missing")
    for name, empty in OPTIONAL.items():
        if not (folder / name).is_file():
            (folder / name).write_text(json.dumps(empty))


def is_safe(name: str) -> bool:
    """Whether a member's path stays below the folder it is unpacked into."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Copy one regular file out of the tar, readable by everybody (a container has a user of its own)."""
    source = tar.extractfile(member)
    if source is None:
        return
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1024 * 1024)
    target.chmod(0o644)


def environment_of(folder: Path) -> dict[str, Any]:
    """The `python3::conda_pip` part of an unpacked model's `env.json`; empty where it has none."""
    document = json.loads((folder / "env.json").read_text())
    return dict(document.get("python3::conda_pip") or {}) if isinstance(document, dict) else {}
