"""The file of a backup: an uncompressed tar that is written and read in one go.

::

    contents.json                what is in it: the schema's revision, tables and columns, keys by their ids
    keys.json                    the secret keys, only when they were asked for
    tables/NAME/000001           the rows of a table, in pieces, in the order in which tables can be filled
    store/BUCKET/objects/…       the files of the built-in store, as they lie there
    sums.json                    the sha256 of each of these; its presence says that the file is whole

`tar` and `jq` are enough to look into it.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec

from luml_app.core.snapshots import Shape
from luml_app.schemas.errors import LumlError

FORMAT = 1
CONTENTS, KEYS, SUMS = "contents.json", "keys.json", "sums.json"
_CHUNK = 1024 * 1024
_MAX_DOCUMENT = 256 * 1024 * 1024


class BackupError(LumlError):
    """The file is not a backup that can be restored."""

    code = "backup"


class Contents(msgspec.Struct, kw_only=True):
    """What a backup says about itself. `missing`: uploaded artifacts whose bytes were not in the store."""

    format: int = FORMAT
    created_at: datetime
    shape: Shape
    key_ids: list[str]
    objects: int
    missing: list[str] = []


class BackupWriter:
    """Writes the members one after another; `close` writes the sums."""

    def __init__(self, file: BinaryIO) -> None:
        self._tar = tarfile.TarFile(mode="w", fileobj=file, format=tarfile.PAX_FORMAT)
        self._sums: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add a member that is in memory."""
        self.add_file(name, io.BytesIO(data), len(data))

    def add_file(self, name: str, source: IO[bytes], size: int) -> None:
        """Add `size` bytes of a file."""
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(time.time())
        hashed = _Hashed(source)
        self._tar.addfile(member, cast(IO[bytes], hashed))
        self._sums[name] = hashed.digest.hexdigest()

    def close(self) -> None:
        """Write the sums and end the file."""
        self.add(SUMS, msgspec.json.encode(self._sums))
        self._tar.close()


@contextmanager
def new_backup(path: Path) -> Iterator[BackupWriter]:
    """A backup that appears at `path` (0600) when the block ends well, safely on disk, and not at all otherwise.

    Raises BackupError when there is a file already.
    """
    if path.exists():
        raise BackupError(f"{path} is there already; choose another name.")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            writer = BackupWriter(file)
            yield writer
            writer.close()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The members in their order, each to be read before the next one is asked for. Raises BackupError."""
    with _readable(path), tarfile.open(path, mode="r|") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isreg() else None
            if source is None:
                raise BackupError(f"{path} is damaged: {member.name} is no plain file.")
            yield member.name, source


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{path} is no backup, or it is damaged or cut off: {error}.") from error


def verified(path: Path) -> tuple[Contents, list[str]]:
    """Read the whole file and compare every sum; what it holds, and its secret keys, if it holds them.

    Raises BackupError for a file that is no backup, of a newer form, cut off or altered.
    """
    found: dict[str, str] = {}
    documents: dict[str, bytes] = {}
    for name, source in members(path):
        if name in found or SUMS in documents:
            raise BackupError(f"{path} is damaged: {name} is there twice, or behind the end.")
        digest, kept = hashlib.sha256(), bytearray()
        with _readable(path):
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                if "/" not in name and len(kept) < _MAX_DOCUMENT:
                    kept += chunk
        documents |= {name: bytes(kept)} if "/" not in name else {}
        found |= {name: digest.hexdigest()} if name != SUMS else {}
    _compare(path, found, documents)
    masters = _decoded(path, documents[KEYS], list[str]) if KEYS in documents else []
    return _contents(path, documents), masters


def _compare(path: Path, found: dict[str, str], documents: dict[str, bytes]) -> None:
    if SUMS not in documents:
        raise BackupError(f"{path} is no backup of LUML, or it is cut off: its end is missing.")
    told = _decoded(path, documents[SUMS], dict[str, str])
    if told != found:
        wrong = sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))
        raise BackupError(f"{path} is damaged: {wrong[0]} is not what was written ({len(wrong)} such members).")


def _contents(path: Path, documents: dict[str, bytes]) -> Contents:
    if CONTENTS not in documents:
        raise BackupError(f"{path} is no backup of LUML.")
    contents: Contents = _decoded(path, documents[CONTENTS], Contents)
    if contents.format > FORMAT:
        raise BackupError(f"{path} was written by a newer LUML. Upgrade LUML.")
    return contents


def _decoded(path: Path, data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise BackupError(f"{path} is damaged: {error}.") from error


class _Hashed:
    """A source that remembers the sha256 of what was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data
