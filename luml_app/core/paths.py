"""How the objects of a path hang on each other, and when one of them is there at all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sqlalchemy import Table, and_, exists, select, true

from luml_app.core import tables as t
from luml_app.core.operations import Operation
from luml_app.core.references import uses_of_secret

# Which table an id of the path belongs to, by the segment before it; where a word is used twice, with its parent's.
SEGMENTS: dict[str, Table] = {
    "organizations": t.organizations,
    "orbits": t.orbits,
    "bucket-secrets": t.buckets,
    "collections": t.collections,
    "artifacts": t.artifacts,
    "model_artifacts": t.artifacts,
    "tracks": t.tracks,
    "entries": t.track_entries,
    "satellites": t.satellites,
    "deployments": t.deployments,
    "revisions": t.revisions,
    "tasks": t.jobs,
    "api-keys": t.api_keys,
    "webhooks": t.webhooks,
    "sessions": t.sessions,
    "identities": t.identities,
    "organizations/members": t.organization_members,
    "orbits/members": t.orbit_members,
    "invitations": t.invites,
    "service-accounts": t.users,
    "secrets": t.orbit_secrets,
}


def tables_of(operation: Operation) -> list[tuple[str, Table]]:
    """The ids in the path of an operation, by their names, and the table that each belongs to."""
    found: list[tuple[str, Table]] = []
    parent = ""
    for before, segment in pairwise(operation.path.strip("/").split("/")):
        table = SEGMENTS.get(f"{parent}/{before}", SEGMENTS.get(before))
        if segment.startswith("{") and table is not None:
            found.append((segment[1:-1], table))
            parent = before
    return found


def link(table: Table, parent: Table | None, caller: Any, operation: Operation) -> Any:
    """How an object hangs on the object before it in the path, or on the caller."""
    if operation.by == "satellite":
        return _link_to_satellite(table, caller)
    if parent is not None:
        return _alive(table, parent) & (table.c[_HANGS_BY.get(table.name, f"{parent.name[:-1]}_id")] == parent.c.id)
    if table is t.invites:
        return table.c.email == caller.c.name
    if "user_id" in table.c:
        return table.c.user_id == caller.c.id
    if table is not t.organizations:
        raise ValueError(f"{operation.name}: its path must begin with the organization, or anybody could reach it")
    return _alive(table, None)


_HANGS_BY = {"users": "service_of"}


def _alive(table: Table, parent: Table | None) -> Any:
    """What is being deleted with all that is in it is not there any more. A deployment that was deleted by force is a
    tombstone: there for its satellite, gone for people.
    """
    if table is t.deployments:
        return table.c.status != "gone"
    if table is t.artifacts and parent is not t.collections:
        return in_living_collection()
    return table.c.deleting_since.is_(None) if "deleting_since" in table.c else true()


def in_living_collection() -> Any:
    """Whether an artifact's collection is not being deleted."""
    home = t.collections.alias("home")
    alive = (home.c.id == t.artifacts.c.collection_id, home.c.deleting_since.is_(None))
    return exists(select(1).where(*alive).correlate(t.artifacts))


def _link_to_satellite(table: Table, caller: Any) -> Any:
    """A satellite sees its own jobs and deployments, and the artifacts and secrets that these refer to."""
    if table is t.orbit_secrets:
        return uses_of_secret(table.c.id, t.deployments.c.satellite_id == caller.c.id).exists()
    if table is not t.artifacts:
        return table.c.satellite_id == caller.c.id
    d, r = t.deployments, t.revisions
    mine = and_(r.c.artifact_id == table.c.id, r.c.deployment_id == d.c.id, d.c.satellite_id == caller.c.id)
    return exists(select(1).where(mine, d.c.status != "gone"))
