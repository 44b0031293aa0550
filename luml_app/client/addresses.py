"""Addresses such as ``luml://playground/datasets/bank``: names, one inside the other, and what they lead to.

    luml://[organization/]orbit/collection/artifact[/member]
    luml://[organization/]orbit/[collection/]track@stage[/member]
    luml://[organization/]orbit/[collection/]track:version[/member]

Each part is a name or an id. Characters that mean something here are percent-encoded inside a name: ``a%2Fb``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from uuid import UUID

from luml_app.client.naming import listed
from luml_app.client.objects import ArtifactHandle
from luml_app.client.orbits import OrbitHandle, enterable
from luml_app.client.paging import pages
from luml_app.client.places import is_name
from luml_app.schemas.collections import Collection
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.schemas.organizations import OrbitListed, OrganizationListed

if TYPE_CHECKING:
    from luml_app.client.http import Client

SCHEME = "luml://"
FORM = "luml://orbit/collection/artifact, or luml://orbit/track@stage"
_PLAIN = " !$&'()+,;=~"
LISTED = 10
"""So many names are listed in an error."""
_VERSION = re.compile(r"(?P<track>.+)(?:@(?P<stage>[^@:]+)|:(?P<version>[1-9][0-9]{0,8}))")


def split(address: str) -> list[str]:
    """The parts of an address, still encoded. Raises Invalid for a part that is empty or leads elsewhere."""
    parts = address.removeprefix(SCHEME).strip("/").split("/")
    if parts == [""]:
        return []
    if not {"", ".", ".."}.isdisjoint(parts):
        raise Invalid(f"The address {address!r} has an empty part, '.' or '..'; it should be {FORM}.")
    return parts


def part_of(name: str) -> str:
    """A name as a part of an address."""
    return quote(name, safe=_PLAIN) if name not in {".", ".."} else name.replace(".", "%2E")


@dataclass(frozen=True)
class Place:
    """How far an address leads: into an orbit, one of its collections, an artifact; `rest` is what is left of it."""

    orbit: OrbitHandle
    collection: Collection | None = None
    artifact: ArtifactHandle | None = None
    rest: tuple[str, ...] = ()

    @property
    def member(self) -> str:
        """The path inside the artifact."""
        return "/".join(map(unquote, self.rest))


def find(client: Client, address: str) -> Place:
    """What an address leads to. Raises NotFound, which lists what there is, Conflict where it may mean several
    things, and Invalid where it is none.
    """
    parts = split(address)
    if not parts:
        raise Invalid(f"The address {address!r} names nothing; it should be {FORM}.")
    orbit, rest = find_orbit(client, parts)
    if not rest:
        return Place(orbit)
    if version := _VERSION.fullmatch(rest[0]):
        return Place(orbit, None, _version(orbit, version), tuple(rest[1:]))
    collection = _collection(orbit, unquote(rest[0]))
    if len(rest) == 1:
        return Place(orbit, collection)
    if version := _VERSION.fullmatch(rest[1]):
        artifact = _version(orbit, version)
        if artifact.data.collection_id != collection.id:
            raise NotFound(f"{unquote(rest[1])!r} is not in the collection {collection.name!r}.")
    else:
        artifact = _artifact(orbit, collection, unquote(rest[1]))
    return Place(orbit, collection, artifact, tuple(rest[2:]))


def find_artifact(client: Client, address: str | UUID) -> ArtifactHandle:
    """The artifact that an address, or an id, leads to. Raises NotFound, and Invalid where it is another thing."""
    if not is_name(str(address)):
        for place, orbit in enterable(client):
            with suppress(NotFound):
                return OrbitHandle(client, place.id, orbit).artifact(address)
        raise NotFound(f"There is no artifact {address} that you can see.")
    found = find(client, str(address))
    if found.artifact is None or found.rest:
        raise Invalid(f"{address} does not lead to an artifact; it should be {FORM}.")
    return found.artifact


def find_orbit(client: Client, parts: list[str]) -> tuple[OrbitHandle, list[str]]:
    """The orbit that the first part, or the first two, name, and the parts behind. Raises NotFound or Conflict."""
    known = enterable(client)
    first, second = unquote(parts[0]), unquote(parts[1]) if len(parts) > 1 else None
    short = [(place, orbit, 1) for place, orbit in known if first in _names(orbit)]
    long = [(place, orbit, 2) for place, orbit in known if first in _names(place) and second in _names(orbit)]
    found = short + long
    if len(found) == 1:
        place, orbit, used = found[0]
        return OrbitHandle(client, place.id, orbit), parts[used:]
    if found:
        meant = "; ".join(f"{SCHEME}{orbit.id} in {place.name}" for place, orbit, _ in found)
        raise Conflict(f"{SCHEME}{'/'.join(parts[:2])} may mean several orbits; name one by its id: {meant}.")
    names = ", ".join(sorted(f"{part_of(place.name)}/{part_of(orbit.name)}" for place, orbit in known)) or "none"
    raise NotFound(f"{SCHEME}{parts[0]} leads to no orbit that you can enter. There are: {names}.")


def _names(one: OrganizationListed | OrbitListed) -> tuple[str, str]:
    return one.name, str(one.id)


def _collection(orbit: OrbitHandle, name: str) -> Collection:
    found = [one for one in collections(orbit, name) if one.name == name]
    found = found or [one for one in collections(orbit) if str(one.id) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(f"Several collections are called {name!r}; name one by its id: {_ids(found)}.")
    names = listed(one.name for one in islice(collections(orbit), LISTED))
    raise NotFound(f"There is no collection {name!r} in the orbit {orbit.data.name!r}. There are: {names}.")


def collections(orbit: OrbitHandle, search: str | None = None) -> Iterator[Collection]:
    """The collections of an orbit; with `search`, those whose name holds it."""
    list_page = orbit.client.collections.list
    return pages(lambda cursor: list_page(*orbit.ids, search=search, cursor=cursor, limit=100))


def _artifact(orbit: OrbitHandle, collection: Collection, name: str) -> ArtifactHandle:
    """The newest uploaded one of this name, or the one with this id."""
    if not is_name(name):
        return ArtifactHandle.read(orbit, collection.id, UUID(name))
    here = [collection.id]
    for one in orbit.artifacts(search=name, collection_ids=here):
        if name == one.name and one.status == "uploaded":
            return ArtifactHandle.read(orbit, collection.id, one.id)
    names = listed(one.name or str(one.id) for one in islice(orbit.artifacts(collection_ids=here), LISTED))
    raise NotFound(f"There is no artifact {name!r} in the collection {collection.name!r}. There are: {names}.")


def _version(orbit: OrbitHandle, told: re.Match[str]) -> ArtifactHandle:
    """The version of a track that is in a stage, or has a number."""
    track = orbit.existing_track(unquote(told["track"]))
    if told["stage"]:
        stage = track.stage(unquote(told["stage"]))
        entry = orbit.client.track_entries.by_stage(*track.ids, stage_id=stage.id)
    else:
        number = int(told["version"])
        known = next((one for one in track.entries() if one.version <= number), None)
        if known is None or known.version != number:
            raise NotFound(f"The track {track.data.name!r} has no version {number}.")
        entry = known
    return orbit.artifact(entry.artifact_id)


def _ids(found: Iterable[Collection]) -> str:
    return ", ".join(str(one.id) for one in found)
