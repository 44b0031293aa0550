"""Model files by their sha256: downloaded once, verified, unpacked once, whoever asks and however often."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from satellite import bundle
from satellite.leases import Leases, locked
from satellite.model_server.files import write_whole

CHUNK = 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")
# Models that nobody uses go when the disk has less room than that, whatever the cache may hold.
RESERVE = 1024 * 1024 * 1024
Stamp = tuple[int, int, int]


class DigestMismatch(Exception):  # noqa: N818
    """What was downloaded is not what the registry has on record."""


class Verified(msgspec.Struct, frozen=True):
    """What was found to be whole, so that it need not be read again: the archive, and each file unpacked from it."""

    archive: Stamp
    files: dict[str, Stamp]


class ModelCache:
    """Files `<digest>.luml` and folders `<digest>/` below one folder, kept under a total size.

    A digest is locked while it is fetched (by a file, so that two satellites may share one folder). What is not
    complete has another name, so nothing half-made is ever found. The lock's time is when the model was asked for last.
    """

    def __init__(self, folder: Path, size_limit: int) -> None:
        self.folder = folder
        self.size_limit = size_limit
        self.leases = Leases()
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lease(self, digest: str, download: Callable[[], AbstractContextManager[Iterable[bytes]]]) -> Iterator[Path]:
        """The folder with the unpacked model of that digest, which nothing removes before the block ends.

        `download` gives the bytes and is called only when they are needed: when the model is not here, or is no longer
        as it was. Raises DigestMismatch and bundle.NotAModel, and OSError when the disk is full.
        """
        digest = digest.lower().removeprefix("sha256:")
        if not SHA256.fullmatch(digest):
            raise DigestMismatch(f"The registry's digest {digest!r} is not a sha256 in hex")
        with self.leases.hold(digest):
            with locked(self.folder / f"{digest}.lock"):
                self.ensure(digest, download)
                os.utime(self.folder / f"{digest}.lock")
            yield self.folder / digest

    def ensure(self, digest: str, download: Callable[[], AbstractContextManager[Iterable[bytes]]]) -> None:
        """Have archive and folder of a digest, whole. For who holds its lock."""
        archive, unpacked = self.archive(digest), self.folder / digest
        known = self.verified(digest)
        intact = archive.is_file() and ((known and known.archive == stamp(archive)) or sha256_of(archive) == digest)
        if not intact:
            fetch(download, archive, digest)
        if not intact or known is None or known.files != stamps(unpacked):
            set_aside(unpacked)
            unpack_whole(archive, unpacked)
        now = Verified(stamp(archive), stamps(unpacked))
        if now != known:
            write_whole(self.marker(digest), msgspec.json.encode(now).decode())

    def trim(self, in_use: Callable[[], set[str]]) -> None:
        """Delete what was not used for longest until the size limit holds; models in use stay.

        `in_use` gives the digests of what runs at the moment that it is called.
        """
        archives = sorted(self.folder.glob("*.luml"), key=self.last_used)
        # The unpacked folder is as large as its archive.
        total = sum(2 * path.stat().st_size for path in archives)
        limit = min(self.size_limit, total + shutil.disk_usage(self.folder).free - RESERVE)
        for archive in archives:
            if total <= limit:
                break
            size = 2 * archive.stat().st_size
            if self.remove(archive.stem, in_use):
                total -= size
        for aside in self.folder.glob("*.aside"):
            if aside.name.partition(".")[0] not in in_use():
                shutil.rmtree(aside, ignore_errors=True)

    def remove(self, digest: str, in_use: Callable[[], set[str]]) -> bool:
        """Forget one model unless somebody uses it; returns whether it is gone."""
        with locked(self.folder / f"{digest}.lock"):
            if not self.leases.is_free(digest, in_use):
                return False
            shutil.rmtree(self.folder / digest, ignore_errors=True)
            self.archive(digest).unlink(missing_ok=True)
            self.marker(digest).unlink(missing_ok=True)
            return True

    def archive(self, digest: str) -> Path:
        """The downloaded file."""
        return self.folder / f"{digest}.luml"

    def marker(self, digest: str) -> Path:
        """Where it is kept what has been verified."""
        return self.folder / f"{digest}.json"

    def last_used(self, archive: Path) -> float:
        """When a model was asked for last."""
        try:
            return archive.with_suffix(".lock").stat().st_mtime
        except OSError:
            return 0.0

    def verified(self, digest: str) -> Verified | None:
        """What is known of a digest."""
        try:
            return msgspec.json.decode(self.marker(digest).read_bytes(), type=Verified)
        except (OSError, msgspec.MsgspecError):
            return None


def fetch(download: Callable[[], AbstractContextManager[Iterable[bytes]]], archive: Path, digest: str) -> None:
    """Stream to a file beside, compare, rename."""
    part = archive.with_suffix(".part")
    seen = hashlib.sha256()
    try:
        with download() as chunks, part.open("wb") as sink:
            for chunk in chunks:
                seen.update(chunk)
                sink.write(chunk)
        if seen.hexdigest() != digest:
            raise DigestMismatch(f"The downloaded file has sha256 {seen.hexdigest()}, the registry says {digest}")
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


def at_most(chunks: Iterable[bytes], size: int | None) -> Iterator[bytes]:
    """The chunks, but no more bytes than the registry says there are. Raises DigestMismatch."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if size is not None and seen > size:
            raise DigestMismatch(f"The downloaded file is larger than the {size} bytes that the registry says")
        yield chunk


def set_aside(folder: Path) -> None:
    """Make room for a folder. What runs goes on with the one that was there, whose name alone is another now."""
    number = 0
    while folder.is_dir():
        try:
            folder.rename(folder.with_name(f"{folder.name}.{number}.aside"))
        except OSError:
            number += 1


def unpack_whole(archive: Path, folder: Path) -> None:
    """Unpack beside and rename, so that a folder that is there is complete."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        bundle.unpack(archive, part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def stamp(path: Path) -> Stamp:
    """What is another one when a file has been written to or replaced: size, time of change, and which file it is."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def stamps(folder: Path) -> dict[str, Stamp]:
    """The stamps of all files below a folder."""
    files = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): stamp(path) for path in files}


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
