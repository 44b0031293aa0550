"""Model files by their sha256: downloaded once, verified, unpacked once, whoever asks and however often."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from satellite import bundle

CHUNK = 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")


class DigestMismatch(Exception):  # noqa: N818
    """What was downloaded is not what the registry has on record."""


class ModelCache:
    """Files `<digest>.luml` and folders `<digest>/` below one folder, kept under a total size.

    A digest is locked while it is fetched (by a file, so that two satellites may share one folder). What is not
    complete has another name, so nothing half-made is ever found.
    """

    def __init__(self, folder: Path, size_limit: int) -> None:
        self.folder = folder
        self.size_limit = size_limit
        folder.mkdir(parents=True, exist_ok=True)

    def ensure(self, digest: str, download: AbstractContextManager[Iterable[bytes]], size: int | None = None) -> Path:
        """Return the folder with the unpacked model of that digest, downloading it if it is not here.

        `download` gives the bytes and is entered only when they are needed. A kept file that no longer has its
        digest is fetched again. More bytes than `size` are not waited for. Raises DigestMismatch and bundle.NotAModel.
        """
        digest = digest.lower().removeprefix("sha256:")
        if not SHA256.fullmatch(digest):
            raise DigestMismatch(f"The registry's digest {digest!r} is not a sha256 in hex")
        archive, unpacked = self.folder / f"{digest}.luml", self.folder / digest
        with locked(self.folder / f"{digest}.lock"):
            if not archive.is_file() or sha256_of(archive) != digest:
                shutil.rmtree(unpacked, ignore_errors=True)
                fetch(download, archive, digest, size)
            if not unpacked.is_dir():
                unpack_whole(archive, unpacked)
        archive.touch()
        return unpacked

    def trim(self, in_use: set[str]) -> None:
        """Delete what was not used for longest until the size limit holds; models in use stay."""
        archives = sorted(self.folder.glob("*.luml"), key=lambda path: path.stat().st_mtime)
        # The unpacked folder is as large as its archive.
        total = sum(2 * path.stat().st_size for path in archives)
        for archive in archives:
            if total <= self.size_limit:
                return
            if archive.stem not in in_use:
                total -= 2 * archive.stat().st_size
                self.remove(archive.stem)

    def remove(self, digest: str) -> None:
        """Forget one model."""
        with locked(self.folder / f"{digest}.lock"):
            shutil.rmtree(self.folder / digest, ignore_errors=True)
            (self.folder / f"{digest}.luml").unlink(missing_ok=True)


def fetch(
    download: AbstractContextManager[Iterable[bytes]], archive: Path, digest: str, size: int | None = None
) -> None:
    """Stream to a file beside, compare, rename."""
    part = archive.with_suffix(".part")
    seen = hashlib.sha256()
    try:
        with download as chunks, part.open("wb") as sink:
            for chunk in chunks:
                seen.update(chunk)
                sink.write(chunk)
                if size is not None and sink.tell() > size:
                    raise DigestMismatch(f"The downloaded file is larger than the {size} bytes that the registry says")
        if seen.hexdigest() != digest:
            raise DigestMismatch(f"The downloaded file has sha256 {seen.hexdigest()}, the registry says {digest}")
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


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


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other threads and other processes respect; it ends with the process, however that ends."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
