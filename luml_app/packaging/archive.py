"""Uncompressed tar archives with an index: written in one pass, read without trust.

The index, ``{member: [offset, size]}``, says where the bytes of each regular file lie inside the archive, so that one
member can be fetched with one HTTP range request. The writer yields it together with the SHA-256 while it writes.

The reader walks the headers by itself: links and devices are left out, and a name or size that could hurt whoever
unpacks the archive is an error that names the member.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from luml_app.packaging.errors import ArchiveError
from luml_app.packaging.patches import apply_patches, patch_names

FileIndex = dict[str, list[int]]

MANIFEST = "manifest.json"
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
# A header block of its own may carry a long name. No honest one comes near this size.
_MAX_EXTENDED_HEADER = 1 << 20


class ArchiveWriter:
    """Writes one tar to a binary stream; same members, same bytes.

    Times, owners and modes are constants. Names longer than a ustar header holds go to a PAX header.
    Call `close` (or use as a context manager) before reading `digest`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.index: FileIndex = {}

    @property
    def digest(self) -> str:
        """SHA-256 of everything written so far, in hex."""
        return self._sha256.hexdigest()

    def add(self, name: str, content: bytes | Path) -> None:
        """Append a regular file; a `Path` is copied in pieces. Raises `ArchiveError` for a bad or repeated name."""
        _refuse_unsafe_name(name)
        if name in self.index:
            raise ArchiveError(f"The archive already has a member {name!r}.")
        if isinstance(content, Path):
            with content.open("rb") as source:
                self._append(name, source, os.fstat(source.fileno()).st_size)
        else:
            self._append(name, io.BytesIO(content), len(content))

    def close(self) -> None:
        """Write the end-of-archive blocks, padded to a whole record as every tar tool does."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self.size % tarfile.RECORDSIZE))

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self.close()

    def _append(self, name: str, source: BinaryIO, size: int) -> None:
        self._write(_header(name, size))
        start = self.size
        while chunk := source.read(_CHUNK):
            self._write(chunk)
        if self.size - start != size:
            raise ArchiveError(f"The file for member {name!r} changed its size while it was read.")
        self._write(bytes(-size % _BLOCK))
        self.index[name] = [start, size]

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._sha256.update(data)
        self.size += len(data)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path` that takes its place when the block succeeds and vanishes when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Archive:
    """An existing archive, read without trust.

    `index` maps each regular file to ``[offset, size]`` in bytes. Links, devices and directories are left out;
    compression, unsafe or repeated names, a cut-off file, more than `max_members` members or one larger than
    `max_member_size` bytes raise `ArchiveError`.
    """

    def __init__(self, path: str | Path, *, max_members: int = 100_000, max_member_size: int = 5 * 1024**4) -> None:
        self.path = Path(path)
        self._max_members = max_members
        self._max_member_size = max_member_size
        self.size = self.path.stat().st_size
        self.index: FileIndex = self._read_index()

    def read(self, name: str, *, limit: int = 64 * 1024**2) -> bytes:
        """The bytes of one member. Raises `ArchiveError` when it is missing or larger than `limit` bytes."""
        if name not in self.index:
            raise ArchiveError(f"The archive {self.path.name!r} has no member {name!r}.")
        offset, size = self.index[name]
        if size > limit:
            raise ArchiveError(f"Member {name!r} has {size} bytes, more than the {limit} that are read at once.")
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def read_json(self, name: str) -> Any:
        """One member as JSON (``NaN`` and infinities are taken, too). Raises `ArchiveError` when it is not JSON."""
        return parse_json(self.read(name), name)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The root manifest with the archive's manifest patches applied."""
        manifest = self.read_json(MANIFEST)
        if not isinstance(manifest, dict):
            raise ArchiveError(f"Member {MANIFEST!r} is not a JSON object.")
        return apply_patches(manifest, {name: self.read_json(name) for name in patch_names(self.index)})

    def sha256(self) -> str:
        """SHA-256 of the whole file, in hex."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _read_index(self) -> FileIndex:
        index: FileIndex = {}
        with self.path.open("rb") as stream:
            for count, member in enumerate(_members(stream, self.size), start=1):
                if count > self._max_members:
                    raise ArchiveError(
                        f"The archive has more than {self._max_members} members, from {member.name!r} on."
                    )
                if member.isreg():
                    self._admit(member, index)
        _refuse_files_used_as_folders(index)
        return index

    def _admit(self, member: tarfile.TarInfo, index: FileIndex) -> None:
        name = member.name.removeprefix("./")
        _refuse_unsafe_name(name)
        if name in index:
            raise ArchiveError(f"Member {name!r} occurs twice in the archive.")
        if member.size > self._max_member_size:
            raise ArchiveError(
                f"Member {name!r} has {member.size} bytes, more than the {self._max_member_size} allowed."
            )
        index[name] = [member.offset_data, member.size]


def parse_json(data: bytes, name: str) -> Any:
    """`data` as JSON, where `name` says in the error what it was. Tolerates ``NaN``, which other writers store."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_lenient_json(data, name)


def _parse_lenient_json(data: bytes, name: str) -> Any:
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"Member {name!r} is not JSON: {error}") from error


def _members(stream: BinaryIO, total: int) -> Iterator[tarfile.TarInfo]:
    """Every member in order, with `offset_data` and `size` set. The long names of PAX and GNU headers are applied."""
    overrides: dict[str, str] = {}
    while (header := _next_header(stream)) is not None:
        header.offset_data = stream.tell()
        if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            overrides |= _pax_records(_extension(stream, header, total))
        elif header.type == tarfile.GNUTYPE_LONGNAME:
            overrides["path"] = _decode(_extension(stream, header, total).split(b"\0", 1)[0])
        elif header.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            _extension(stream, header, total)
        else:
            _apply(header, overrides)
            overrides = {}
            yield header
            _skip(stream, header, total)


def _next_header(stream: BinaryIO) -> tarfile.TarInfo | None:
    block = stream.read(_BLOCK)
    if not block or (len(block) == _BLOCK and not block.strip(b"\0")):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        where = stream.tell() - len(block)
        raise ArchiveError(f"Not an uncompressed tar archive: no member header at byte {where} ({error}).") from error


def _extension(stream: BinaryIO, header: tarfile.TarInfo, total: int) -> bytes:
    if header.size > _MAX_EXTENDED_HEADER:
        raise ArchiveError(
            f"The extended header {header.name!r} has {header.size} bytes, which no honest writer needs."
        )
    _skip(stream, header, total)
    end = stream.tell()
    stream.seek(header.offset_data)
    data = stream.read(header.size)
    stream.seek(end)
    return data


def _skip(stream: BinaryIO, member: tarfile.TarInfo, total: int) -> None:
    # Links and devices carry no data, whatever their size field says; POSIX leaves it to the writer.
    size = member.size if member.isreg() or member.type not in tarfile.SUPPORTED_TYPES or _is_extension(member) else 0
    if size < 0 or member.offset_data + size > total:
        raise ArchiveError(f"The archive is cut off inside member {member.name!r}.")
    stream.seek(member.offset_data + size + -size % _BLOCK)


def _is_extension(member: tarfile.TarInfo) -> bool:
    return member.type in (
        tarfile.XHDTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )


def _pax_records(data: bytes) -> dict[str, str]:
    """The records ``<length> <key>=<value>\\n`` of a PAX header."""
    records = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            raise ArchiveError("The archive has a broken PAX header.")
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        records[_decode(key)] = _decode(value)
        data = data[int(length) :]
    return records


def _apply(header: tarfile.TarInfo, overrides: dict[str, str]) -> None:
    header.name = overrides.get("path", header.name)
    size = overrides.get("size", str(header.size))
    if not size.isascii() or not size.isdigit():
        raise ArchiveError(f"Member {header.name!r} has the size {size!r}.")
    header.size = int(size)
    # The data of a sparse file is not what its member holds, so an index of it would lie.
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in overrides):
        raise ArchiveError(f"Member {header.name!r} is a sparse file, which artifacts may not hold.")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _refuse_unsafe_name(name: str) -> None:
    parts = name.split("/")
    if not name or name.startswith("/") or name.endswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        raise ArchiveError(f"Member {name!r} does not have a plain relative path.")
    if "\\" in name or "\0" in name or parts[0][1:2] == ":":
        raise ArchiveError(f"Member {name!r} has a name that leaves the archive's folder on some systems.")
    if not name.isprintable():
        raise ArchiveError(f"Member {name!r} has characters in its name that cannot be shown.")


def _refuse_files_used_as_folders(index: FileIndex) -> None:
    for name in index:
        for parent in PurePosixPath(name).parents:
            if str(parent) in index:
                raise ArchiveError(f"Member {name!r} lies below {str(parent)!r}, which is a file.")
