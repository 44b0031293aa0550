"""What a replica is handed outside of its environment: secrets, as files in a folder that nobody else sees.

An environment variable is shown by `docker inspect` and `/proc/<pid>/environ`; a file in memory is not. The folder
holds `environment.json`, read once before the model is loaded, and `attributes.json`, read again when it was replaced;
`door`, too, where others could reach the model server over a network.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ENVIRONMENT = "environment.json"
ATTRIBUTES = "attributes.json"
DOOR = "door"
LOOK_AGAIN_SECONDS = 1.0


class HandoverMissing(Exception):  # noqa: N818
    """The folder does not hold what the satellite should have put there."""


class Handover:
    """The replica's side. Without a folder there is nothing to hand over, and both answers are empty."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.clock = clock
        self._attributes: dict[str, str] = {}
        self._seen: tuple[int, int] | None = None
        self._looked = -LOOK_AGAIN_SECONDS

    def variables(self) -> dict[str, str]:
        """The secret variables of the model's environment. Raises HandoverMissing."""
        if self.folder is None:
            return {}
        try:
            return read_texts(self.folder / ENVIRONMENT)
        except (OSError, ValueError) as error:
            raise HandoverMissing(
                f"The secrets of this replica are not in {self.folder} ({error}); the satellite must start it anew"
            ) from error

    def door(self) -> str:
        """The word that who asks this replica has to know; empty where nobody but the satellite can reach it."""
        try:
            return (self.folder / DOOR).read_text() if self.folder else ""
        except FileNotFoundError:
            return ""

    def attributes(self) -> dict[str, str]:
        """The dynamic attributes as they are now: the file is looked at once a second at most.

        A file that is missing or cannot be read changes nothing: the values that were good stay in use.
        """
        now = self.clock()
        if self.folder is not None and now - self._looked >= LOOK_AGAIN_SECONDS:
            self._looked = now
            self._refresh(self.folder / ATTRIBUTES)
        return self._attributes

    def _refresh(self, path: Path) -> None:
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._seen:
                self._attributes, self._seen = read_texts(path), seen
        except (OSError, ValueError) as error:
            print(f"The dynamic attributes cannot be read ({error}); keeping those from before", file=sys.stderr)


def read_texts(path: Path) -> dict[str, str]:
    """A flat JSON object of texts."""
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return {str(name): str(value) for name, value in found.items()}
