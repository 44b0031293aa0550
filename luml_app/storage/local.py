"""The built-in store: buckets on the server's own disk, behind addresses that look like S3's.

::

    <root>/<bucket>/objects/<2 hex>/<62 hex>   one sealed file per object, named by a digest of its key
    <root>/<bucket>/uploads/<upload id>/       one folder per unfinished multipart upload
    <root>/<bucket>/scratch/<uuid>             what is being written right now, or was when the server was killed
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from luml_app.storage.disposition import attachment
from luml_app.storage.errors import CorruptObject, InvalidPart, NoSuchKey, NoSuchUpload
from luml_app.storage.interface import ObjectInfo, Reach, StorageKind
from luml_app.storage.keys import check_bucket, check_key, object_path, required_upload
from luml_app.storage.multipart import ListedPart, MultipartUpload, discard, newest_change
from luml_app.storage.parts import MAX_OBJECT_SIZE, Part
from luml_app.storage.sealed import ObjectFile, ObjectWriter, make_folder, sync_folder
from luml_app.storage.signing import UrlSigner

Guard = Callable[[str], AbstractContextManager[None]]
"""Entered with the key of an object before anything is written, and again around the moment in which the object becomes
visible; raises what is to be said when the object may not be written (any more)."""


def unguarded(_key: str) -> AbstractContextManager[None]:
    """The guard that lets everything be written."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object by its key; `size` in bytes."""

    key: str
    size: int


class LocalStorage:
    """The bucket `bucket` below the folder `root`; see `interface.Storage` for what its methods promise.

    `base_url` is the address under which clients reach the server that has the routes of `luml_app.web.store`; `guard`
    says what may be written. The bucket comes into being with its first object. Making an instance touches neither disk
    nor network.
    """

    def __init__(
        self,
        root: Path,
        bucket: str,
        base_url: str,
        signer: UrlSigner,
        max_object_size: int = MAX_OBJECT_SIZE,
        guard: Guard = unguarded,
    ) -> None:
        self._bucket = check_bucket(bucket)
        self._objects = root / bucket / "objects"
        self._uploads = root / bucket / "uploads"
        self._scratch = root / bucket / "scratch"
        self._base_url = base_url
        self._signer = signer
        self._max_object_size = max_object_size
        self._guard = guard

    @property
    def kind(self) -> StorageKind:
        """Clients speak to it as to S3."""
        return "s3"

    @property
    def reach(self) -> Reach:
        """It is this server itself, wherever it stands."""
        return Reach(near=True)

    # Signed addresses

    def upload_url(self, key: str, expires: int) -> str:
        """See `Storage.upload_url`."""
        return self._url("PUT", key, expires)

    def download_url(self, key: str, expires: int, filename: str | None = None) -> str:
        """See `Storage.download_url`."""
        parameters = {} if filename is None else {"response-content-disposition": attachment(filename)}
        return self._url("GET", key, expires, parameters)

    def delete_url(self, key: str, expires: int) -> str:
        """See `Storage.delete_url`."""
        return self._url("DELETE", key, expires)

    def initiate_url(self, key: str, expires: int) -> str:
        """See `Storage.initiate_url`."""
        return self._url("POST", key, expires, {"uploads": ""})

    def part_urls(self, key: str, upload_id: str | None, parts: Sequence[Part], expires: int) -> list[str]:
        """See `Storage.part_urls`. Raises `InvalidArgument` without an `upload_id`."""
        given = required_upload(upload_id)
        return [self._url("PUT", key, expires, {"partNumber": str(p.number), "uploadId": given}) for p in parts]

    def complete_url(self, key: str, upload_id: str | None, expires: int) -> str:
        """See `Storage.complete_url`. Raises `InvalidArgument` without an `upload_id`."""
        return self._url("POST", key, expires, {"uploadId": required_upload(upload_id)})

    def abort_url(self, key: str, upload_id: str, expires: int) -> str:
        """An address that forgets an unfinished multipart upload by DELETE."""
        return self._url("DELETE", key, expires, {"uploadId": upload_id})

    # Looking and deleting

    def stat(self, key: str) -> ObjectInfo | None:
        """See `Storage.stat`."""
        try:
            with self.open_object(key) as file:
                return file.record.info
        except NoSuchKey:
            return None

    def read(self, key: str, offset: int, length: int) -> bytes:
        """See `Storage.read`."""
        with self.open_object(key) as file:
            return file.read_at(offset, length)

    def open_stream(self, key: str) -> BinaryIO:
        """See `Storage.open_stream`."""
        return cast(BinaryIO, io.BufferedReader(self.open_object(key)))

    def open_object(self, key: str) -> ObjectFile:
        """The object as an unbuffered file that carries its record. Raises `NoSuchKey`."""
        try:
            return ObjectFile(self._path(key))
        except FileNotFoundError:
            raise NoSuchKey(f"There is no object {key!r} in the bucket {self._bucket!r}.") from None

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        path = self._path(key)
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    # Writing

    def writer(self, key: str) -> ObjectWriter:
        """Begin to write an object; whoever commits last wins. Raises what the guard raises, here and at the commit."""
        target = self._path(key)
        self._check_open(key)
        make_folder(target.parent)
        return self._writer(target, key)

    def part_writer(self, key: str, upload_id: str, number: int) -> ObjectWriter:
        """Begin to write a part of a multipart upload.

        Raises `InvalidArgument`, and `NoSuchUpload`, as does the writer's `commit` once the upload is gone.
        """
        upload = MultipartUpload(self._uploads, check_key(key), upload_id)
        upload.check()
        self._check_open(key)
        make_folder(self._scratch)
        return ObjectWriter(self._scratch, upload.part_path(number), key, limit=self._max_object_size)

    def initiate_multipart(self, key: str) -> str:
        """Begin a multipart upload and give its id."""
        self._check_open(check_key(key))
        return MultipartUpload.begin(self._uploads, key).id

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[ListedPart]) -> ObjectInfo:
        """Make the object out of the listed parts. Completing again what is complete gives the same answer.

        Raises `NoSuchUpload`, `MalformedXML`, `InvalidPartOrder`, `InvalidPart`, `EntityTooLarge`,
        `InsufficientStorage`.
        """
        upload = MultipartUpload(self._uploads, check_key(key), upload_id)
        try:
            upload.check()
            info = self._assemble(upload, key, parts)
        except (FileNotFoundError, NoSuchUpload, InvalidPart):
            if upload.exists():
                raise
            return self._completed_before(key, upload_id)
        upload.remove(self._scratch)
        return info

    def abort_multipart(self, key: str, upload_id: str | None) -> None:
        """See `Storage.abort_multipart`."""
        with suppress(NoSuchUpload):
            upload = MultipartUpload(self._uploads, check_key(key), upload_id or "")
            upload.check()
            upload.remove(self._scratch)

    def objects(self, older_than: float) -> Iterator[StoredObject]:
        """The objects that were written more than `older_than` seconds ago; damaged files are left out."""
        before = time.time() - older_than
        for path in self._objects.glob("??/*"):
            try:
                if path.stat().st_mtime < before:
                    with ObjectFile(path) as file:
                        yield StoredObject(file.record.key, file.record.size)
            except (FileNotFoundError, CorruptObject):
                continue

    def stale(self, older_than: float) -> list[Path]:
        """The unfinished uploads that nobody has written to for `older_than` seconds."""
        before = time.time() - older_than
        return [path for place in (self._scratch, self._uploads) for path in _older_entries(place, before)]

    def sweep(self, older_than: float) -> int:
        """Remove uploads, whole or in parts, that nobody has written to for `older_than` seconds; give their number."""
        stale = self.stale(older_than)
        for path in stale:
            discard(path, self._scratch) if path.is_dir() else path.unlink(missing_ok=True)
        return len(stale)

    def _assemble(self, upload: MultipartUpload, key: str, parts: Sequence[ListedPart]) -> ObjectInfo:
        upload.records(parts)  # Before a scratch file is opened: most faults are in the list.
        target = self._path(key)
        make_folder(target.parent)
        with self._writer(target, key, upload_id=upload.id) as writer:
            return upload.assemble(parts, writer, self._max_object_size)

    def _completed_before(self, key: str, upload_id: str) -> ObjectInfo:
        """A client whose connection broke asks a second time, when the upload has already become the object."""
        try:
            with self.open_object(key) as file:
                if file.record.upload_id == upload_id:
                    return file.record.info
        except NoSuchKey:
            pass
        raise NoSuchUpload

    def _writer(self, target: Path, key: str, upload_id: str | None = None) -> ObjectWriter:
        make_folder(self._scratch)
        held = partial(self._guard, key)
        return ObjectWriter(self._scratch, target, key, limit=self._max_object_size, upload_id=upload_id, held=held)

    def _check_open(self, key: str) -> None:
        with self._guard(key):
            pass

    def _path(self, key: str) -> Path:
        return object_path(self._objects, check_key(key))

    def _url(self, method: str, key: str, expires: int, parameters: dict[str, str] | None = None) -> str:
        path = store_path(self._bucket, check_key(key))
        return self._signer.signed_url(self._base_url, method, path, expires, parameters)


def store_path(bucket: str, key: str) -> str:
    """The decoded path of an object in the addresses of the store; this is what signatures cover."""
    return f"/store/{bucket}/{key}"


def _older_entries(folder: Path, before: float) -> list[Path]:
    return [path for path in folder.iterdir() if _is_older(path, before)] if folder.is_dir() else []


def _is_older(path: Path, before: float) -> bool:
    try:
        changed = newest_change(path) if path.is_dir() else path.stat().st_mtime
    except FileNotFoundError:
        return False
    return changed < before
