"""One file per stored object: its bytes, then a closing record with what is known about them.

::

    | the object's bytes … | closing record (JSON) | length of the record, 8 bytes | b"LUMLobj1" |

Bytes and record become visible together by one rename, so that a reader never meets the one without the other,
whatever is killed when, and two writers of the same object never mix. A file that is open stays readable, unchanged,
when its object is replaced or deleted.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec

from luml_app.storage.errors import BadDigest, CorruptObject, EntityTooLarge, InsufficientStorage, NoSuchUpload
from luml_app.storage.interface import ObjectInfo

_FOOTER = struct.Struct(">Q8s")
_MAGIC = b"LUMLobj1"
_MAX_RECORD = 64 * 1024
_SYNC_EVERY = 256 * 1024 * 1024
"""A large upload is handed to the disk in such pieces, lest its last `fsync` take minutes."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The closing record. `upload_id`: the multipart upload that the object was made by, if any."""

    key: str
    size: int
    sha256: str
    etag: str
    modified: float
    upload_id: str | None = None

    @property
    def info(self) -> ObjectInfo:
        """The record in the words of the interface."""
        return ObjectInfo(size=self.size, sha256=self.sha256, etag=self.etag, modified=self.modified)


class ObjectWriter:
    """Takes the bytes of the object `key` and makes them visible at `target` on `commit`.

    Until then they are in a scratch file in the folder `scratch`, on the same disk, and leaving the `with` block
    removes them. `limit` is the largest size in bytes; `held` is entered around the moment of becoming visible.
    Several threads may call, but only one after another.
    """

    def __init__(
        self,
        scratch: Path,
        target: Path,
        key: str,
        *,
        limit: int,
        upload_id: str | None = None,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._scratch = scratch / uuid.uuid4().hex
        self._target = target
        self._key = key
        self._limit = limit
        self._upload_id = upload_id
        self._held = held
        self._size = 0
        self._unsynced = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._file: BinaryIO | None = cast(BinaryIO, io.FileIO(self._scratch, "xb", opener=_open_private))

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `EntityTooLarge`, `InsufficientStorage`."""
        if self._size + len(chunk) > self._limit:
            raise EntityTooLarge(f"The object is larger than the {self._limit} bytes that the store takes.")
        self._append(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._size += len(chunk)
        self._sync_now_and_then(len(chunk))

    def commit(self, *, content_md5: bytes | None = None, etag: str | None = None) -> ObjectInfo:
        """Make the object visible, safely on disk. `etag` replaces the MD5 of the bytes, which S3 uses by default.

        Raises `BadDigest` when the bytes do not have the MD5 digest `content_md5`, `NoSuchUpload` when the upload has
        been aborted or swept meanwhile, `InsufficientStorage`.
        """
        if content_md5 is not None and content_md5 != self._md5.digest():
            raise BadDigest
        record = self._record(etag)
        body = msgspec.json.encode(record)
        self._append(body + _FOOTER.pack(len(body), _MAGIC))
        self._sync()
        self._close()
        self._publish()
        return record.info

    def abort(self) -> None:
        """Drop the bytes; nothing happens after `commit` or a second time."""
        self._close()
        self._scratch.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def _publish(self) -> None:
        try:
            with self._held():
                self._scratch.replace(self._target)
                sync_folder(self._target.parent)
        except FileNotFoundError:
            raise NoSuchUpload from None

    def _record(self, etag: str | None) -> Record:
        return Record(
            key=self._key,
            size=self._size,
            sha256=self._sha256.hexdigest(),
            etag=etag or self._md5.hexdigest(),
            modified=time.time(),
            upload_id=self._upload_id,
        )

    def _append(self, chunk: bytes | bytearray | memoryview) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._open_file.write(rest) :]
        except OSError as error:
            raise _told(error) from error

    def _sync_now_and_then(self, written: int) -> None:
        self._unsynced += written
        if self._unsynced >= _SYNC_EVERY:
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._open_file.fileno())
        except OSError as error:
            raise _told(error) from error
        self._unsynced = 0

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the object has been committed or aborted")
        return self._file


class ObjectFile(io.RawIOBase):
    """The bytes of one stored object as a seekable, read-only file; `record` is its closing record.

    Raises `FileNotFoundError` when there is no file at `path`, `CorruptObject` when it is not a whole one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = -1  # `close` is called on what is collected, even when `open` fails.
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._position = 0
        try:
            self.record = _read_record(self._descriptor)
        except BaseException:
            self.close()
            raise

    def read_at(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on, never any of the closing record."""
        wanted = min(length, self.record.size - offset)
        return _read_fully(self._descriptor, wanted, offset) if wanted > 0 else b""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as files do; a position behind the end is allowed, one before the beginning is a `ValueError`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.record.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # no public name for "buffer" in 3.11
        """Fill `buffer` from the position on."""
        data = self.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if not self.closed and self._descriptor >= 0:
            os.close(self._descriptor)
        super().close()


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, private, so that it survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_record(descriptor: int) -> Record:
    total = os.fstat(descriptor).st_size
    if total < _FOOTER.size:
        raise CorruptObject
    length, magic = _FOOTER.unpack(_read_fully(descriptor, _FOOTER.size, total - _FOOTER.size))
    if magic != _MAGIC or length > min(_MAX_RECORD, total - _FOOTER.size):
        raise CorruptObject
    data_end = total - _FOOTER.size - length
    try:
        record = msgspec.json.decode(_read_fully(descriptor, length, data_end), type=Record)
    except msgspec.DecodeError as error:
        raise CorruptObject from error
    if record.size != data_end:
        raise CorruptObject
    return record


def _read_fully(descriptor: int, length: int, offset: int) -> bytes:
    """One system call reads at most 2 GiB on Linux, and fewer bytes than asked for are allowed to come at any time."""
    pieces: list[bytes] = []
    while length > 0:
        piece = os.pread(descriptor, length, offset)
        if not piece:
            raise CorruptObject
        pieces.append(piece)
        length -= len(piece)
        offset += len(piece)
    return b"".join(pieces)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _told(error: OSError) -> OSError | InsufficientStorage:
    return InsufficientStorage() if error.errno in {errno.ENOSPC, errno.EDQUOT} else error
