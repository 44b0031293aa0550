"""Kept lines: one folder per deployment, a row of numbered segments in it, the oldest removed as new ones come."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

Stream = Literal["stdout", "stderr", "output", "satellite", "request"]
LOGS = "logs"
REQUESTS = "requests"
"""The folders in the satellite's data folder: what models print, and recorded requests."""
SEGMENTS = 8
"""Segments in a full folder: so much of it, at most, goes at once."""
_ENCODER = msgspec.json.Encoder()


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One line. `key` names the replica and `position` where its output goes on after the line, for the collector."""

    time: str
    stream: Stream
    revision: str
    replica: int | None
    line: str
    key: str = ""
    position: str = ""


_DECODER = msgspec.json.Decoder(Kept)


class LogFolder:
    """The writing side of one deployment's lines: at most `size` bytes. For several threads."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self.lock = threading.Lock()

    def append(self, records: Iterable[Kept]) -> None:
        """Write lines at the end; raises OSError when the disk does not take them."""
        block = b"".join(_ENCODER.encode(record) + b"\n" for record in records)
        with self.lock:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            segments = numbered(self.folder)
            path = segments[-1][1] if segments else segment(self.folder, 1)
            if segments and path.stat().st_size >= self.size // SEGMENTS:
                path = segment(self.folder, segments[-1][0] + 1)
                self._make_room(segments)
            _append(path, block)

    def positions(self) -> dict[str, str]:
        """How far each replica's output has been kept, by key."""
        found: dict[str, str] = {}
        for _, path in numbered(self.folder):
            for _, record in records_of(path):
                if record.position:
                    found[record.key] = record.position
        return found

    def _make_room(self, segments: list[tuple[int, Path]]) -> None:
        sizes = [size_of(path) for _, path in segments]
        total = sum(sizes)
        for (_, path), one in zip(segments[:-1], sizes[:-1], strict=True):
            if total <= self.size * (SEGMENTS - 1) // SEGMENTS:
                return
            path.unlink(missing_ok=True)
            total -= one


def _append(path: Path, block: bytes) -> None:
    """Append whole lines: what a killed writer has left half written is ended first."""
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                block = b"\n" + block
        file.write(block)


def segment(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:010d}.log"


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The segments that are there, oldest first."""
    with contextlib.suppress(OSError):
        return sorted((int(path.stem), path) for path in folder.glob("*.log") if path.stem.isdigit())
    return []


def records_of(path: Path) -> Iterator[tuple[int, Kept]]:
    """The lines of a segment, each with the offset after it; what cannot be read is passed over."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        offset = 0
        for raw in file:
            if not raw.endswith(b"\n"):
                return  # still being written
            offset += len(raw)
            if record := parsed(raw):
                yield offset, record


def parsed(raw: bytes) -> Kept | None:
    """A line of a segment; None when it is none."""
    try:
        return _DECODER.decode(raw)
    except msgspec.MsgspecError:
        return None


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it is gone."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def limit_total(root: Path, size: int) -> None:
    """Remove the oldest segments of all deployments until all of them together take at most `size` bytes."""
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        for _, path in numbered(folder):
            with contextlib.suppress(OSError):
                told = path.stat()
                found.append((told.st_mtime, told.st_size, path))
    total = sum(one for _, one, _ in found)
    for _, one, path in sorted(found):
        if total <= size:
            return
        path.unlink(missing_ok=True)
        total -= one


def forget(root: Path, deployment_id: str) -> None:
    """Remove everything that was kept of a deployment."""
    shutil.rmtree(root / deployment_id, ignore_errors=True)


def now() -> str:
    """The time as it is kept: UTC, microseconds, of one length, so that texts sort as times do."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A time with a zone as it is kept."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
