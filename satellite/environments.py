"""Environments of models, kept by what they contain and built once however many ask at the same time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from satellite.cache import locked
from satellite.model_server.environment import MARKER, BuildFailed, EnvironmentSpec, python_of, spec_of

__all__ = ["BuildFailed", "EnvironmentCache", "EnvironmentSpec", "spec_of"]

KEPT = 20


class EnvironmentCache:
    """Folders `<key>/` below one folder; only those with a marker of completeness are ever used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def ensure(self, spec: EnvironmentSpec, build: Callable[[Path], None]) -> str:
        """Return the interpreter of the environment, calling `build(folder)` where it is not complete.

        Raises BuildFailed.
        """
        folder = self.folder / spec.key
        with locked(self.folder / f"{spec.key}.lock"):
            python = python_of(folder)
            if python is None:
                build(folder)
                python = python_of(folder)
        if python is None:
            raise BuildFailed("The environment was built but is not complete; the disk may be full")
        (folder / MARKER).touch()
        return python

    def trim(self, in_use: set[str]) -> None:
        """Keep the environments in use and the most recently used ones."""
        marked = sorted(self.folder.glob(f"*/{MARKER}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for marker in marked[KEPT:]:
            if marker.parent.name not in in_use:
                with locked(self.folder / f"{marker.parent.name}.lock"):
                    shutil.rmtree(marker.parent, ignore_errors=True)
