"""A node's own store of what its replicas need: parcels (tar files) unpacked by their sha256, kept under a size.

Who uses a parcel holds a shared lock on it for as long as its process lives, whatever program that becomes. Who can
lock it alone may therefore remove it, and needs to know of nobody else on the node.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path


class Volume:
    """Folders `<sha256>/` below one folder, each with `<sha256>.lock` and `<sha256>.size` (bytes) beside it."""

    def __init__(self, folder: Path, size_limit: int) -> None:
        self.folder = folder
        self.size_limit = size_limit
        # Models of other deployments may lie here: nobody but us may see which.
        folder.chmod(0o711)

    def hold(self, parcel: str, fetch: Callable[[Path], None]) -> Path:
        """The folder of a parcel, fetched with `fetch(path of a tar file)` if need be, and safe while we live."""
        lock = os.open(self.folder / f"{parcel}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(lock, True)
        folder = self.folder / parcel
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not folder.is_dir():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                self.trim()
                self.fill(folder, fetch)
            # Between giving up one lock and having the other somebody may have removed it: hence the loop.
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock)
        return folder

    def fill(self, folder: Path, fetch: Callable[[Path], None]) -> None:
        """Fetch and unpack beside, then rename: a folder that is there is complete. For who holds its lock alone."""
        archive, part = folder.with_suffix(".tar"), folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            fetch(archive)
            part.mkdir()
            unpack(archive, part)
            folder.with_suffix(".size").write_text(str(archive.stat().st_size))
            part.rename(folder)
        finally:
            archive.unlink(missing_ok=True)
            shutil.rmtree(part, ignore_errors=True)

    def trim(self) -> None:
        """Remove what was started last longest ago until the size limit holds; what is in use stays."""
        locks = sorted(self.folder.glob("*.lock"), key=lambda path: path.stat().st_mtime)
        sizes = {lock: size_of(lock) for lock in locks}
        total = sum(sizes.values())
        for lock, size in sizes.items():
            if total <= self.size_limit:
                return
            with alone(lock) as is_free:
                if is_free:
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.with_suffix(".size").unlink(missing_ok=True)
                    total -= size


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Hold a lock alone if that can be done at once; whether it could. Lock files stay: others may wait for them."""
    with lock.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def size_of(lock: Path) -> int:
    """The bytes of the parcel with this lock; none when it is not here."""
    try:
        return int(lock.with_suffix(".size").read_text())
    except (OSError, ValueError):
        return 0


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a verified parcel. Links may lead out of it: to the interpreter of the image."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "tar_filter"):
            tar.extractall(folder, filter="tar")
        else:  # Python < 3.10.12
            tar.extractall(folder)  # noqa: S202
