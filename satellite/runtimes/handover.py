"""The satellite's side of what replicas are handed outside of their environment: secrets, in files in memory.

Each replica has a folder of its own here, which only it is shown. The folders outlive the satellite and the replica's
restarts, so an engine may start a container again while the satellite is away; they are gone after a restart of the
machine, and replicas with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from satellite.masking import forms_of, masked
from satellite.model_server.handover import ATTRIBUTES, ENVIRONMENT, read_texts

# Memory on every Linux. The user's own runtime folder is no place: it is emptied when the user logs out.
MEMORY = Path("/dev/shm")  # noqa: S108 (whoever else has made our folder there is refused)


class Handovers:
    """Folders `<key>/` below `folder`, which nobody but this user may enter.

    `shared` lets other users read what is *in* the folders: inside a container the model has another user id, and the
    engine shows it its own folder only. From outside, the way there is barred to them all the same.
    """

    def __init__(self, folder: Path, shared: bool) -> None:
        self.folder = folder
        self.folder_mode, self.file_mode = (0o755, 0o444) if shared else (0o700, 0o400)
        self.starting: set[str] = set()
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def given(self, key: str, variables: Mapping[str, str], attributes: Mapping[str, str]) -> Iterator[Path]:
        """The folder of a replica that is being started, filled, and safe from `keep_only` until it has been.

        It stays when the start fails: an engine that did not answer may have started the replica all the same.
        """
        with self.lock:
            self.starting.add(key)
        try:
            yield self.fill(key, variables, attributes)
        finally:
            with self.lock:
                self.starting.discard(key)

    def fill(self, key: str, variables: Mapping[str, str], attributes: Mapping[str, str]) -> Path:
        """Make the folder of a replica anew. Raises OSError."""
        own_folder(self.folder)
        mine = self.folder / key
        shutil.rmtree(mine, ignore_errors=True)
        mine.mkdir()
        mine.chmod(self.folder_mode)
        self.write(mine / ENVIRONMENT, variables)
        self.write(mine / ATTRIBUTES, attributes)
        return mine

    def refresh(self, key: str, attributes: Mapping[str, str]) -> bool:
        """Replace the attributes of a running replica; False when its folder is gone and it must be started anew."""
        path = self.folder / key / ATTRIBUTES
        try:
            if read_texts(path) != dict(attributes):
                self.write(path, attributes)
        except (OSError, ValueError):
            return False
        return True

    def write(self, path: Path, texts: Mapping[str, str]) -> None:
        """A file that is there whole or as it was, with its mode from its first byte on."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        with open(part, "x", opener=lambda name, flags: os.open(name, flags, self.file_mode)) as sink:
            os.fchmod(sink.fileno(), self.file_mode)
            json.dump(dict(texts), sink)
        part.replace(path)

    def hide(self, key: str, text: str) -> str:
        """The text without the values that the replica was handed: a model's traceback may hold some."""
        return masked(text, forms_of(self.values(key)))

    def values(self, key: str) -> set[str]:
        """Everything secret that the replica was handed."""
        found: set[str] = set()
        for name in (ENVIRONMENT, ATTRIBUTES):
            with contextlib.suppress(OSError, ValueError):
                found |= set(read_texts(self.folder / key / name).values())
        return found

    def remove(self, key: str) -> None:
        """Forget what a replica was handed."""
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def keep_only(self, keys: Callable[[], set[str]]) -> None:
        """Forget what replicas were handed that are gone; `keys` gives those that are there when it is called.

        What has been filled anew meanwhile stays, and so does what a replica that is being started will read.
        """
        found = self.found()
        if not found:
            return
        there = keys()
        for key, seen in found.items():
            with self.lock:
                if key not in there | self.starting and self.found().get(key) == seen:
                    self.remove(key)

    def close(self) -> None:
        """Leave nothing in memory when no replica is left."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def found(self) -> dict[str, tuple[int, int]]:
        """The folders, and what is another one when a folder has been filled anew."""
        stats = {}
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                stat = path.stat()
                stats[path.name] = (stat.st_ino, stat.st_ctime_ns)
        return stats


def handover_folder(data: Path, instance: str) -> Path:
    """Where the folders of a satellite's replicas lie: in memory, where this machine has a place for that."""
    return MEMORY / f"luml-{instance}" if os.access(MEMORY, os.W_OK) else data / "handover"


def own_folder(folder: Path) -> None:
    """Have a folder that only this user may enter. Raises PermissionError when somebody else was there first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to somebody else; remove it, or have its owner do so")
    folder.chmod(0o700)
