"""What is stored, as a file system: pandas, DuckDB, Dask and all that knows fsspec read ``luml://…``.

An artifact is a folder of the members of its archive. They are read by ranges, straight from the bucket: nothing is
downloaded but what is asked for. Written are whole artifact files, which are uploaded when they are closed.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote
from uuid import UUID

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from luml_app.client.addresses import Place, collections, find, find_orbit, part_of, split
from luml_app.client.downloading import Address
from luml_app.client.http import Client
from luml_app.client.objects import ArtifactHandle
from luml_app.client.transfers import read_range
from luml_app.schemas.artifacts import ArtifactListed
from luml_app.schemas.errors import Invalid, NotFound

FRESH_SECONDS = 10.0
"""For so long a name leads to what it led to before; one read of a dataset asks for its names many times."""
ADDRESS_SECONDS = 600.0
"""For so long a signed address is used; it is good for longer."""
READ_ONLY = "Artifacts do not change: write a new one, as luml://orbit/collection/name."

Value = TypeVar("Value")
Entry = dict[str, Any]


class LumlFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The file system of a LUML server, read by name: ``luml://orbit/collection/artifact/member``.

    `address` and `api_key` as of `Client`. Names that leave open what they mean raise Conflict; a member that is not
    there raises FileNotFoundError. Bytes of single members are not checked against the artifact's sha256, which is that
    of the whole file; `ArtifactHandle.download` does that.
    """

    protocol = "luml"
    root_marker = ""
    # Address and key may come from settings that change meanwhile.
    cachable = False

    def __init__(self, address: str | None = None, api_key: str | None = None, **options: Any) -> None:
        super().__init__(address=address, api_key=api_key, **options)
        self.client = Client(address, api_key)
        self._places: Fresh[Place] = Fresh(FRESH_SECONDS)
        self._addresses: Fresh[Address] = Fresh(ADDRESS_SECONDS)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in an organization, orbit, collection, artifact or folder of one. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        entries = self._entries(path, split(path))
        return entries if detail else [one["name"] for one in entries]

    def info(self, path: str, **_: Any) -> Entry:
        """Kind and size (bytes) of what a path leads to. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        parts = split(path)
        if not parts or (len(parts) == 1 and self._is_organization(parts[0])):
            return folder(path)
        place = self._place(path)
        if place.artifact is None:
            return folder(path)
        if not place.rest:
            return {**folder(path), **facts(place.artifact)}
        if span := place.artifact.data.file_index.get(place.member):
            return {"name": path, "type": "file", "size": span[1]}
        if any(name.startswith(f"{place.member}/") for name in place.artifact.data.file_index):
            return folder(path)
        raise FileNotFoundError(f"{path}: the artifact {place.artifact.data.name!r} has no member {place.member!r}.")

    def checksum(self, path: str) -> str:
        """Equal for equal content: the sha256 of the artifact with the member's place in it."""
        place = self._artifact(path)
        return f"{place.artifact.data.file_hash}/{place.member}" if place.artifact else ""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a member, or of a whole artifact, from `start` to `end`; below zero they count from the end."""
        artifact, offset, size = self._span(path)
        first, last, _ = slice(start, end).indices(size)
        return self._read(artifact, offset + first, last - first) if last > first else b""

    def created(self, path: str) -> Any:
        """When the artifact was stored."""
        place = self._artifact(path)
        return place.artifact.data.created_at if place.artifact else None

    modified = created

    def invalidate_cache(self, path: str | None = None) -> None:
        """Look names up anew."""
        self._places.clear()

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True,
        cache_options: Any = None, **options: Any,
    ) -> Any:  # fmt: skip
        if mode == "rb":
            return Member(self, path, block_size or "default", cache_options, *self._span(path), **options)
        if mode in {"wb", "xb"}:
            return Staged(self, path, mode, autocommit)
        raise Invalid(f"{path}: {mode!r} is not a mode here. {READ_ONLY}")

    def _entries(self, path: str, parts: list[str]) -> list[Entry]:
        if not parts:
            return [folder(part_of(one.name)) for one in self.client.organizations.list()]
        if len(parts) == 1 and (organization := self._organization(parts[0])):
            return [folder(f"{path}/{part_of(one.name)}") for one in self.client.orbits.list(organization)]
        place = self._place(path)
        if place.artifact:
            return self._members(path, place)
        if place.collection:
            return list(self._artifacts(path, place))
        return [
            folder(f"{path}/{name}") for name in unambiguous((one.name, one.id) for one in collections(place.orbit))
        ]

    def _artifacts(self, path: str, place: Place) -> Iterable[Entry]:
        """The newest of each name; others are there under their ids."""
        wanted = [place.collection.id] if place.collection else []
        seen: set[str] = set()
        for one in place.orbit.artifacts(collection_ids=wanted):
            if one.status == "uploaded":
                name = part_of(one.name) if one.name and one.name not in seen else str(one.id)
                seen.add(one.name or "")
                yield {**folder(f"{path}/{name}"), **facts(one)}

    def _members(self, path: str, place: Place) -> list[Entry]:
        """Files and folders right below."""
        assert place.artifact is not None  # noqa: S101  # for the types
        index, inside = place.artifact.data.file_index, f"{place.member}/" if place.rest else ""
        if place.member in index:
            return [self.info(path)]
        found: dict[str, Entry] = {}
        for name, (_, size) in index.items():
            if name.startswith(inside):
                child, deeper, _ = name[len(inside) :].partition("/")
                full = f"{path}/{part_of(child)}"
                found[child] = folder(full) if deeper else {"name": full, "type": "file", "size": size}
        if not found:
            raise FileNotFoundError(f"{path}: the artifact {place.artifact.data.name!r} has no {place.member!r}.")
        return list(found.values())

    def _is_organization(self, part: str) -> bool:
        return self._organization(part) is not None

    def _organization(self, part: str) -> Any:
        """The id of the organization that a first part names, unless it names an orbit."""
        name = unquote(part)
        known = [one.id for one in self.client.organizations.list() if name in (one.name, str(one.id))]
        try:
            find_orbit(self.client, [part])
        except NotFound:
            return known[0] if len(known) == 1 else None
        return None

    def _place(self, path: str) -> Place:
        path = self._strip_protocol(path)
        try:
            return self._places.get(path, lambda: self._find(path))
        except NotFound as error:
            raise FileNotFoundError(f"{path}: {error.message}") from error

    def _find(self, path: str) -> Place:
        """Look up by name, or go on from an artifact that has been looked up: its members are known."""
        parts = path.split("/")
        for end in range(len(parts) - 1, 1, -1):
            known = self._places.known("/".join(parts[:end]))
            if known and known.artifact and not known.rest:
                return Place(known.orbit, known.collection, known.artifact, tuple(parts[end:]))
        place = find(self.client, path)
        if place.artifact and place.rest:
            whole = Place(place.orbit, place.collection, place.artifact)
            self._places.put("/".join(parts[: -len(place.rest)]), whole)
        return place

    def _artifact(self, path: str) -> Place:
        place = self._place(path)
        if place.artifact is None:
            raise IsADirectoryError(f"{path}: name an artifact in it.")
        return place

    def _span(self, path: str) -> tuple[ArtifactHandle, int, int]:
        """Artifact, offset and size (bytes) of what can be read at a path: a member, or the whole file."""
        place = self._artifact(path)
        artifact = place.artifact
        assert artifact is not None  # noqa: S101  # for the types
        if not place.rest:
            return artifact, 0, artifact.data.size
        if span := artifact.data.file_index.get(place.member):
            return artifact, *span
        if self.info(path)["type"] == "directory":
            raise IsADirectoryError(f"{path}: name a member in it.")
        raise FileNotFoundError(path)

    def _read(self, artifact: ArtifactHandle, offset: int, size: int) -> bytes:
        """A range of an artifact's file; a signed address that is not good any more is asked for anew."""
        address = self._addresses.get(str(artifact.id), lambda: Address(artifact.address))
        return address.use(lambda url: read_range(self.client.direct, url, offset, size))


class Member(AbstractBufferedFile):  # type: ignore[misc]
    """A member that is read, block by block."""

    def __init__(
        self, fs: LumlFileSystem, path: str, block_size: Any, cache_options: Any, artifact: ArtifactHandle, offset: int,
        size: int, **options: Any,
    ) -> None:  # fmt: skip
        self.artifact, self.offset = artifact, offset
        super().__init__(fs, path, "rb", block_size=block_size, cache_options=cache_options, size=size, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        return self.fs._read(self.artifact, self.offset + start, end - start) if end > start else b""


class Staged:
    """A file that is written here first, and uploaded as an artifact when it is closed; in a transaction, at its end.

    An exception inside a ``with`` block gives it up. Raises `PackagingError` on closing what is no artifact.
    """

    def __init__(self, fs: LumlFileSystem, path: str, mode: str, autocommit: bool) -> None:
        self.fs, self.path, self.mode, self.autocommit = fs, path, mode, autocommit
        self.orbit, rest = find_orbit(fs.client, split(path))
        if len(rest) != 2:
            raise Invalid(f"{path}: {READ_ONLY}")
        if mode == "xb" and fs.exists(path):
            raise FileExistsError(path)
        self.collection, self.name = map(unquote, rest)
        self.folder = tempfile.TemporaryDirectory(prefix="luml-")
        self.local = Path(self.folder.name) / "artifact.tar"
        self.file = self.local.open("w+b")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def close(self) -> None:
        """Nothing more is written."""
        if not self.file.closed:
            self.file.close()
            if self.autocommit:
                self.commit()

    def commit(self) -> None:
        """Upload what has been written."""
        try:
            self.orbit.upload(self.local, self.collection, name=self.name)
        finally:
            self.discard()

    def discard(self) -> None:
        """Give up what has been written."""
        self.file.close()
        self.folder.cleanup()
        self.fs.invalidate_cache()

    def __enter__(self) -> Staged:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self.discard() if kind else self.close()


class Fresh(Generic[Value]):
    """Values that are kept for a while, by key. Several threads may look up the same one at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.kept: dict[str, tuple[float, Value]] = {}

    def known(self, key: str) -> Value | None:
        """What is kept and not too old."""
        at, value = self.kept.get(key, (0.0, None))
        return value if value is not None and time.monotonic() - at < self.seconds else None

    def get(self, key: str, look_up: Callable[[], Value]) -> Value:
        """What is kept, or is looked up."""
        value = self.known(key)
        return self.put(key, look_up()) if value is None else value

    def put(self, key: str, value: Value) -> Value:
        """Keep a value, and forget what is too old."""
        now = time.monotonic()
        self.kept = {name: kept for name, kept in list(self.kept.items()) if now - kept[0] < self.seconds}
        self.kept[key] = (now, value)
        return value

    def clear(self) -> None:
        """Forget all."""
        self.kept = {}


def folder(path: str) -> Entry:
    """An entry for what holds others."""
    return {"name": path, "type": "directory", "size": 0}


def facts(artifact: ArtifactHandle | ArtifactListed) -> Entry:
    """What an entry of an artifact says beside its name; `size` of its whole file in bytes."""
    data = artifact.data if isinstance(artifact, ArtifactHandle) else artifact
    about: Entry = {
        "id": str(data.id),
        "artifact_type": data.type,
        "sha256": data.file_hash,
        "created": data.created_at,
    }
    return {**about, "size": data.size}


def unambiguous(named: Iterable[tuple[str, UUID]]) -> list[str]:
    """Parts for things by name; by id where several have one name."""
    known = list(named)
    counts = Counter(name for name, _ in known)
    return [part_of(name) if counts[name] == 1 else str(identity) for name, identity in known]
