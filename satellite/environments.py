"""Environments of models, kept by what they contain and built once however many ask at the same time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from satellite.leases import Leases, locked
from satellite.model_server.environment import MARKER, BuildFailed, EnvironmentSpec, python_of, spec_of
from satellite.model_server.files import write_whole

__all__ = ["BuildFailed", "EnvironmentCache", "EnvironmentSpec", "spec_of"]


class EnvironmentCache:
    """Folders `<key>/` below one folder, kept under a total size; only complete ones are ever used.

    The marker's time is when the environment was asked for last; `<key>.size` is how large it is.
    """

    def __init__(self, folder: Path, size_limit: int) -> None:
        self.folder = folder
        self.size_limit = size_limit
        self.leases = Leases()
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lease(self, spec: EnvironmentSpec, build: Callable[[Path], None]) -> Iterator[str]:
        """The interpreter of the environment, which nothing removes before the block ends.

        Calls `build(folder)` where it is not complete. Raises BuildFailed.
        """
        with self.leases.hold(spec.key):
            with locked(self.folder / f"{spec.key}.lock"):
                python = self.ensure(spec.key, build)
            yield python

    def ensure(self, key: str, build: Callable[[Path], None]) -> str:
        """Have an environment. For who holds its lock."""
        folder = self.folder / key
        python = python_of(folder)
        if python is None or not is_there(python, folder):
            build(folder)
            python = python_of(folder)
            write_whole(self.folder / f"{key}.size", str(size_of(folder)))
        if python is None:
            raise BuildFailed("The environment was built but is not complete; the disk may be full")
        (folder / MARKER).touch()
        return python

    def trim(self, in_use: Callable[[], set[str]]) -> None:
        """Delete what was not used for longest until the size limit holds; environments in use stay.

        `in_use` gives the keys of what runs at the moment that it is called.
        """
        markers = sorted(self.folder.glob(f"*/{MARKER}"), key=lambda path: path.stat().st_mtime)
        sizes = {marker.parent.name: self.size(marker.parent.name) for marker in markers}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total <= self.size_limit:
                return
            if self.remove(key, in_use):
                total -= size

    def remove(self, key: str, in_use: Callable[[], set[str]]) -> bool:
        """Forget one environment unless somebody uses it; returns whether it is gone."""
        with locked(self.folder / f"{key}.lock"):
            if not self.leases.is_free(key, in_use):
                return False
            shutil.rmtree(self.folder / key, ignore_errors=True)
            (self.folder / f"{key}.size").unlink(missing_ok=True)
            return True

    def size(self, key: str) -> int:
        """The bytes of an environment; counted once."""
        path = self.folder / f"{key}.size"
        with suppress(OSError, ValueError):
            return int(path.read_text())
        size = size_of(self.folder / key)
        write_whole(path, str(size))
        return size


def is_there(python: str, folder: Path) -> bool:
    """Whether the interpreter of an environment is in its folder, if it should be.

    It may have been built for another root, a container's, where links lead elsewhere: a link itself is enough.
    """
    parts = Path(python).parts
    inside = folder.joinpath(*parts[parts.index(folder.name) + 1 :]) if folder.name in parts else None
    return inside is None or os.path.lexists(inside)


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(Path(place, name).lstat().st_size for place, _, names in os.walk(folder) for name in names)
