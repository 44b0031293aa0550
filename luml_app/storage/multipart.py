"""Unfinished multipart uploads on disk: one folder each, with a note about the key and one sealed file per part."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from luml_app.storage.errors import EntityTooLarge, InvalidPart, InvalidPartOrder, MalformedXML, NoSuchUpload
from luml_app.storage.interface import ObjectInfo
from luml_app.storage.keys import check_part_number, check_upload_id
from luml_app.storage.sealed import ObjectFile, ObjectWriter, Record, make_folder, sync_folder

_KEY_NOTE = "key"
_COPY_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ListedPart:
    """One part as the client lists it to complete an upload; `etag` without quotes."""

    number: int
    etag: str


class MultipartUpload:
    """The upload `upload_id` of the object `key`, below the folder `uploads`."""

    def __init__(self, uploads: Path, key: str, upload_id: str) -> None:
        self._folder = uploads / check_upload_id(upload_id)
        self._key = key
        self.id = upload_id

    @classmethod
    def begin(cls, uploads: Path, key: str) -> MultipartUpload:
        """Start an upload under a new id."""
        upload = cls(uploads, key, secrets.token_hex(16))
        make_folder(upload._folder)
        upload._note.write_text(key, encoding="utf-8")
        sync_folder(upload._folder)
        return upload

    def check(self) -> None:
        """Raise `NoSuchUpload` unless the upload is there and belongs to the key."""
        try:
            known_key = self._note.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise NoSuchUpload from None
        if known_key != self._key:
            raise NoSuchUpload

    def part_path(self, number: int) -> Path:
        """Where the sealed file of a part lies. Raises `InvalidArgument` for a number that no part can have."""
        return self._folder / f"part-{check_part_number(number):05d}"

    def records(self, parts: Sequence[ListedPart]) -> list[Record]:
        """The closing records of the listed parts, after a look whether the list is in order and every ETag fits.

        Raises `MalformedXML` (nothing listed), `InvalidPartOrder`, `InvalidPart`.
        """
        if not parts:
            raise MalformedXML
        numbers = [part.number for part in parts]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise InvalidPartOrder
        return [self._record(part) for part in parts]

    def assemble(self, parts: Sequence[ListedPart], writer: ObjectWriter, limit: int) -> ObjectInfo:
        """Copy the listed parts into `writer`, which hashes the whole, and commit it.

        Raises what `records` raises, `EntityTooLarge` above `limit` bytes, `FileNotFoundError` when somebody else
        aborts or completes the upload meanwhile.
        """
        records = self.records(parts)
        if sum(record.size for record in records) > limit:
            raise EntityTooLarge
        os.utime(self._folder)  # A sweep must not take the parts away while they are being copied.
        for part, record in zip(parts, records, strict=True):
            self._copy(part, record, writer)
        return writer.commit(etag=_etag_of_parts(records))

    def exists(self) -> bool:
        """Whether the upload can still take parts."""
        return self._note.exists()

    def remove(self, trash: Path) -> None:
        """Remove the upload and its parts; nothing happens when there is none."""
        discard(self._folder, trash)

    @property
    def _note(self) -> Path:
        return self._folder / _KEY_NOTE

    def _record(self, part: ListedPart) -> Record:
        try:
            with ObjectFile(self.part_path(part.number)) as file:
                record = file.record
        except FileNotFoundError:
            raise InvalidPart(f"Part {part.number} has not been uploaded.") from None
        if record.etag != part.etag:
            raise InvalidPart(f"Part {part.number} has another ETag than the one listed; upload it again.")
        return record

    def _copy(self, part: ListedPart, expected: Record, writer: ObjectWriter) -> None:
        with ObjectFile(self.part_path(part.number)) as file:
            if file.record.etag != expected.etag:
                raise InvalidPart(f"Part {part.number} was replaced while the upload was being completed.")
            while chunk := file.read(_COPY_CHUNK):
                writer.write(chunk)


def newest_change(folder: Path) -> float:
    """When anything in an upload's folder was last written, in seconds since the epoch."""
    return max((path.stat().st_mtime for path in [folder, *folder.iterdir()]), default=0.0)


def discard(folder: Path, trash: Path) -> None:
    """Remove a folder at once by moving it into `trash`, then piece by piece: nobody meets half of an upload."""
    make_folder(trash)
    doomed = trash / secrets.token_hex(16)
    with suppress(FileNotFoundError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _etag_of_parts(records: Sequence[Record]) -> str:
    """S3's ETag of an object made of parts: the MD5 of the parts' MD5 digests, and their number."""
    digests = b"".join(bytes.fromhex(record.etag) for record in records)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(records)}"
