"""Folders as parcels: tar files that are the same, byte for byte, whenever and wherever they are made.

A parcel is never stored here. It is made once to know its sha256, and once more each time that a node asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from satellite.model_server.files import write_whole


class Parcels:
    """Which folder each parcel is made of, also after a restart: files `<sha256>` below one folder hold its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests: dict[Path, str] = {}
        self.lock = threading.Lock()

    def offer(self, content: Path) -> str:
        """The sha256 of the parcel of a folder, which can be fetched from now on. Folders never change."""
        with self.lock:
            digest = self.digests.get(content) or digest_of(content)
            self.digests[content] = digest
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / digest, str(content))
        return digest

    def find(self, digest: str) -> Path | None:
        """The folder that a parcel is made of, if it was offered and is still here."""
        with contextlib.suppress(OSError):
            content = Path((self.folder / digest).read_text())
            return content if content.is_dir() else None
        return None

    def keep_only(self, digests: set[str]) -> None:
        """Forget all other offers, but those of this run: they may belong to a replica that is being started."""
        with self.lock, contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in digests and path.name not in self.digests.values():
                    path.unlink(missing_ok=True)


class Sum:
    """A sink that keeps nothing but the sha256 of what was written."""

    def __init__(self) -> None:
        self.seen = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self.seen.update(data)
        return len(data)


def digest_of(content: Path) -> str:
    """The sha256 of the parcel of a folder."""
    sink = Sum()
    write_parcel(content, sink)
    return sink.seen.hexdigest()


def write_parcel(content: Path, sink: Any) -> None:
    """Write the parcel of a folder to anything with `write`. Raises OSError."""
    with tarfile.open(fileobj=cast(IO[bytes], sink), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in entries(content):
            info = describe(path, str(path.relative_to(content)))
            if info.isreg():
                with path.open("rb") as source:
                    tar.addfile(info, source)
            else:
                tar.addfile(info)


def entries(content: Path) -> Iterator[Path]:
    """Everything below a folder that a parcel holds, folders before what is in them."""
    for place, folders, files in os.walk(content):
        folders.sort()
        yield from (Path(place, name) for name in sorted([*folders, *files]))


def describe(path: Path, name: str) -> tarfile.TarInfo:
    """The header of an entry: nothing of when and by whom it was made, and everybody may read it."""
    info = tarfile.TarInfo(name)
    found = path.lstat()
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size, info.mode = found.st_size, 0o755 if found.st_mode & 0o100 else 0o644
    return info
