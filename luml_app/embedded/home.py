"""The folder in which an installation lives.

::

    postgres/    the database                    run/        records of running children
    store/       the built-in bucket             run/logs/   what they print
    keys/        secrets, made once, 0600        lock        held while LUML runs here; holds its process number
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from luml_app.schemas.errors import LumlError


class HomeError(LumlError):
    """The home of LUML cannot be used."""

    code = "home"


class Home:
    """The home folder at `root`; nothing is touched before `prepare()`, `key()` or `lock()`."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @property
    def postgres(self) -> Path:
        """Where the embedded database lives; made by itself."""
        return self.root / "postgres"

    @property
    def store(self) -> Path:
        """Where the built-in bucket keeps its objects."""
        return self.root / "store"

    @property
    def keys(self) -> Path:
        """Where secrets are kept."""
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Where records of running children are kept."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Where children print to."""
        return self.run / "logs"

    @property
    def mark(self) -> str:
        """What the children's environment carries, so that they are known as this home's when their parent is gone."""
        return str(self.root.resolve())

    def prepare(self) -> Self:
        """Make the folders that are missing, and see that they can be written to.

        Raises HomeError, which names the folder and the remedy, for a folder that is read-only, somebody else's, not
        a folder at all, or on a full disk.
        """
        with self._speaking():
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.keys, self.store, self.run, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder) as probe:
                    probe.write(bytes(4096))
            self.keys.chmod(0o700)
        return self

    def key(self, name: str) -> str:
        """The secret called `name` (256 bits as text), made at the first call and the same ever after.

        Of two processes that ask for a new one at once both get the winner's. Raises HomeError when it cannot be kept,
        or when its file has lost its content.
        """
        path = self.keys / name
        with self._speaking():
            if not path.exists():
                self.write_key(path, secrets.token_urlsafe(32))
            key = path.read_text().strip()
        if len(key) < 32:
            raise HomeError(f"The key in {path} is damaged: restore the file from a backup.")
        return key

    def change_key(self, name: str, change: Callable[[str], str]) -> None:
        """Replace the content of the secret `name` by what `change` makes of it; readers meet the old or the new one.

        Of two processes that do so at once one waits for the other. Raises HomeError, and what `change` raises.
        """
        with self._speaking():
            folder = os.open(self.keys, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            value = change(self.key(name))
            with self._speaking(), self._finished_file(self.keys, value + "\n") as finished:
                finished.replace(self.keys / name)
            os.fsync(folder)
        finally:
            os.close(folder)

    def write_key(self, path: Path, value: str) -> None:
        """Write a secret that is not there yet; of two at once the first one wins."""
        with self._finished_file(self.keys, value + "\n") as finished:
            try:
                # Unlike a rename, a link does not replace what somebody else has made meanwhile.
                path.hardlink_to(finished)
            except FileExistsError:
                return
            except OSError:  # a file system without links
                finished.replace(path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home for the time of the block; the end of the process lets go of it, too, however it ends.

        Raises HomeError when another process holds it, and says which.
        """
        self.prepare()
        with self._speaking():
            file = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._acquire(file)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(file)  # the file stays: removing it would let two processes lock two files of one name

    def holder(self) -> int | None:
        """The process that runs LUML on this home now, as far as its lock file says; None when nobody holds it."""
        try:
            file = os.open(self.root / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(file) or None
        finally:
            os.close(file)
        return None

    def _acquire(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeError(
                f"LUML is already running on this home (pid {_pid_in(file) or 'unknown'}): stop it first, "
                f"or give this one a home of its own with LUML_HOME ({self.root})."
            ) from None

    @contextmanager
    def _finished_file(self, folder: Path, content: str) -> Iterator[Path]:
        """A file (0600) with `content` safely on disk, under a passing name: a key is never half written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=folder)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Say in one sentence what the operating system says in a number."""
        try:
            yield
        except OSError as error:
            raise HomeError(self._sentence(error)) from error

    def _sentence(self, error: OSError) -> str:
        place = error.filename or self.root
        elsewhere = "set LUML_HOME to a folder that you can write to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full: LUML cannot write to {place}; free some space or {elsewhere}."
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"LUML may not write to {place}; {elsewhere}."
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return f"{place} is not a folder; {elsewhere}."
        return f"LUML cannot use {place} ({error.strerror or error}); {elsewhere}."


def _pid_in(file: int) -> int:
    with suppress(ValueError):
        return int(os.pread(file, 32, 0))
    return 0
