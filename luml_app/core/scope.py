"""Scope by construction: one query finds the caller and every object of the path, each inside its parent.

What that query did not find does not exist for the operation. The rows it found are the only way on to others, so an
id of another tenant can never be reached by forgetting a WHERE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    FromClause,
    Table,
    and_,
    bindparam,
    exists,
    func,
    select,
    true,
)

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.core.keys import SATELLITE_KEY, USER_KEY, Keys
from luml_app.core.operations import Operation
from luml_app.core.permissions import decide
from luml_app.core.prepared import Prepared
from luml_app.core.references import uses_of_secret
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Forbidden, LumlError, NotFound, Unauthenticated


@dataclass(frozen=True)
class Credentials:
    """What a caller shows: a token (Bearer or cookie), or, inside the process, the id of a known user."""

    token: str | None = None
    user_id: UUID | None = None
    refresh_token: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    visit: str | None = None
    """What a browser that comes back from a provider was given when it left."""

    @property
    def kind(self) -> str:
        """Which table knows the caller."""
        if self.user_id is not None:
            return "known"
        if self.token is None:
            return "nobody"
        if self.token.startswith(SATELLITE_KEY):
            return "satellite"
        return "api_key" if self.token.startswith(USER_KEY) else "session"


@dataclass
class Scope:
    """Who calls, on what, with which means.

    `found` holds the rows of the path by table name. `refusal` is raised after the transaction has been committed:
    for the rare operation that must keep a change and refuse all the same. `after_commit` is run when the change
    is kept, for what cannot be rolled back. `fetched` is what the operation's `fetch` has brought; `go_to` is where
    a browser goes next.
    """

    db: Connection
    keys: Keys
    settings: Settings
    credentials: Credentials
    caller: Any = None
    organization_id: UUID | None = None
    organization_role: str | None = None
    orbit_id: UUID | None = None
    orbit_role: str | None = None
    found: dict[str, Any] = field(default_factory=dict)
    cookies: dict[str, tuple[str, int]] = field(default_factory=dict)
    refusal: LumlError | None = None
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    fetched: Any = None
    go_to: str | None = None

    @property
    def user_id(self) -> UUID:
        """The signed-in user."""
        if self.caller is None or self.credentials.kind == "satellite":
            raise Unauthenticated
        identity: UUID = self.caller.id
        return identity

    @property
    def only_orbit_id(self) -> UUID | None:
        """The orbit to which the caller's API key is bound."""
        only: UUID | None = None if self.caller is None else self.caller.columns.get("only_orbit_id")
        return only

    @property
    def actor_name(self) -> str | None:
        """How the caller is called in answers and events."""
        return None if self.caller is None else self.caller.name

    def row(self, table: Table) -> Any:
        """The object of the path that lives in `table`."""
        return self.found[table.name]

    def require(self, permission: str) -> None:
        """Raise Forbidden, with the reason, unless the caller's roles here hold `permission`."""
        decision = decide(permission, self.organization_role, self.orbit_role)
        if not decision:
            raise Forbidden(decision.why)

    def record(self, action: str, object_id: UUID | None, **columns: Any) -> None:
        """Write the event of this change (see `core.events.record`)."""
        events.record(self.db, action, object_id=object_id, **{**self._origin(), **columns})

    def record_all(self, action: str, object_id: UUID | None, changes: Sequence[dict[str, Any]]) -> None:
        """Write several events of this change (see `core.events.record_all`)."""
        events.record_all(self.db, action, changes, object_id=object_id, **self._origin())

    def record_each(self, action: str, before: Mapping[UUID, Mapping[str, Any]], after: Any = None) -> None:
        """Write the events of one change of many objects (see `core.events.record_each`)."""
        events.record_each(self.db, action, before, after, **self._origin())

    def _origin(self) -> dict[str, Any]:
        """Who acts, from where, and in which place."""
        return {
            "organization_id": self.organization_id,
            "orbit_id": self.orbit_id,
            "actor_kind": {"satellite": "satellite", "nobody": "anyone"}.get(self.credentials.kind, "user"),
            "actor_id": self.caller.id if self.caller is not None else None,
            "actor_name": self.actor_name,
            "ip": self.credentials.ip,
        }


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


def resolve(
    db: Connection,
    operation: Operation,
    credentials: Credentials,
    path: dict[str, UUID],
    keys: Keys,
    settings: Settings,
) -> Scope:
    """Find caller and objects in one query.

    Raises Unauthenticated (nobody, or not valid), Forbidden (the wrong kind of caller, or role), NotFound.
    """
    scope = Scope(db=db, keys=keys, settings=settings, credentials=credentials)
    if operation.by == "anyone":
        return scope
    if credentials.kind == "nobody":
        raise Unauthenticated
    if (credentials.kind == "satellite") != (operation.by == "satellite"):
        raise Forbidden(f"This is for {'satellites' if operation.by == 'satellite' else 'users'}.")
    statement = _statement(operation, credentials.kind)
    row = statement.query.one_or_none(db, **_arguments(credentials, path, keys))
    if row is None:
        raise Unauthenticated("The credential is not valid, or not any more.")
    return _filled(scope, operation, statement.split(row))


def _arguments(credentials: Credentials, path: dict[str, UUID], keys: Keys) -> dict[str, Any]:
    shown: Any = credentials.user_id or keys.hashes(credentials.token or "")
    return {"credential": shown, **path}


@dataclass(frozen=True)
class _Statement:
    """The query of an operation for a kind of caller, and which of its columns belong to whom."""

    query: Prepared
    parts: tuple[tuple[str, tuple[str, ...]], ...]

    def split(self, row: Iterable[Any]) -> dict[str, Found]:
        """The caller and the objects of the path in one row, by name."""
        values = iter(row)
        return {name: Found(dict(zip(columns, values, strict=False))) for name, columns in self.parts}


@lru_cache(maxsize=1024)
def _statement(operation: Operation, kind: str) -> _Statement:
    caller = _caller(kind)
    source: FromClause = caller
    parts: list[tuple[str, list[Any]]] = [("caller", list(caller.c))]
    parent: Table | None = None
    for parameter, table in _tables_of(operation):
        link = and_(table.c.id == bindparam(parameter), _link(table, parent, caller, operation))
        source = source.outerjoin(table, link)
        columns: list[Any] = [column for column in table.c if operation.whole or not column.info.get("bulky")]
        if (membership := _MEMBERSHIPS.get(table.name)) is not None:
            on = and_(membership.c[f"{table.name[:-1]}_id"] == table.c.id, membership.c.user_id == caller.c.id)
            source = source.outerjoin(membership, on)
            columns.append(membership.c.role.label("my_role"))
        parts.append((table.name, columns))
        parent = table
    query = select(*(column for _, columns in parts for column in columns)).select_from(source)
    return _Statement(Prepared(query), tuple((name, tuple(c.name for c in columns)) for name, columns in parts))


_MEMBERSHIPS = {
    "organizations": t.organization_members.alias("my_place"),
    "orbits": t.orbit_members.alias("my_place_in_the_orbit"),
}


def _caller(kind: str) -> Any:
    """The caller as a subquery with at least `id` and `name`."""
    u, now = t.users, func.now()
    person = [u.c.id, u.c.email.label("name"), u.c.full_name, u.c.service_of]
    alive = u.c.disabled.is_(False)
    if kind == "known":
        query = select(*person).where(u.c.id == bindparam("credential"), alive)
    elif kind == "api_key":
        k = t.api_keys
        fresh = k.c.expires_at.is_(None) | (k.c.expires_at > now)
        query = (
            select(
                *person,
                k.c.id.label("key_id"),
                k.c.scopes,
                k.c.last_used_at,
                k.c.key_hash,
                k.c.orbit_id.label("only_orbit_id"),
            )
            .join(k, k.c.user_id == u.c.id)
            .where(_is_hash(k.c.key_hash), fresh, alive)
        )
    elif kind == "session":
        s, token = t.sessions, t.session_tokens
        query = (
            select(*person, s.c.id.label("session_id"), s.c.last_used_at)
            .join(s, s.c.user_id == u.c.id)
            .join(token, token.c.session_id == s.c.id)
            .where(
                _is_hash(token.c.hash),
                token.c.kind == "access",
                token.c.expires_at > now,
                s.c.revoked_at.is_(None),
                alive,
            )
        )
    else:
        sat, o = t.satellites, t.orbits
        query = (
            select(
                sat.c.id,
                sat.c.name,
                sat.c.orbit_id,
                sat.c.last_seen_at,
                sat.c.paired,
                sat.c.key_hash,
                o.c.organization_id,
            )
            .join(o, o.c.id == sat.c.orbit_id)
            .where(_is_hash(sat.c.key_hash))
        )
    return query.subquery("caller")


def _is_hash(column: Any) -> Any:
    return column == func.any(bindparam("credential", type_=t.api_keys.c.scopes.type))


def _tables_of(operation: Operation) -> list[tuple[str, Table]]:
    found: list[tuple[str, Table]] = []
    parent = ""
    for before, segment in pairwise(operation.path.strip("/").split("/")):
        table = SEGMENTS.get(f"{parent}/{before}", SEGMENTS.get(before))
        if segment.startswith("{") and table is not None:
            found.append((segment[1:-1], table))
            parent = before
    return found


def _link(table: Table, parent: Table | None, caller: Any, operation: Operation) -> Any:
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


def _filled(scope: Scope, operation: Operation, found_here: dict[str, Found]) -> Scope:
    scope.caller = found_here.pop("caller")
    _check_key_scope(scope.caller)
    scope.found = found_here
    for name, found in scope.found.items():
        _take_step(scope, name, found)
    if operation.by == "satellite":
        scope.organization_id, scope.orbit_id = scope.caller.organization_id, scope.caller.orbit_id
    elif operation.needs is not None:
        scope.require(operation.needs)
    _check_key_orbit(scope, operation)
    return scope


class Found:
    """A row's columns as attributes; the bulky ones only for an operation that is declared with ``whole=True``."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None


_SINGULAR = {
    "track_entries": "version in this track",
    "jobs": "task",
    "buckets": "bucket",
    "identities": "way to sign in",
    "users": "service account",
    "orbit_secrets": "secret",
}


def _check_key_scope(caller: Found) -> None:
    if "api" not in caller.columns.get("scopes", ["api"]):
        raise Forbidden("This API key is for inference only; the registry needs one with the scope 'api'.")


BEYOND_ONE_ORBIT = {
    "auth.me",
    "api_keys.validate",
    "organizations.list",
    "orbits.list",
    "uploads.multipart",
    "permissions.check",
}
"""What an API key that is bound to an orbit may do outside of it: find its way there. What these show or sign is
confined to the orbit by themselves (`Scope.only_orbit_id`).
"""


def _check_key_orbit(scope: Scope, operation: Operation) -> None:
    only = scope.only_orbit_id
    if only is not None and scope.orbit_id != only and operation.name not in BEYOND_ONE_ORBIT:
        raise Forbidden("This API key is bound to one orbit and opens nothing else; use another key for this.")


def _take_step(scope: Scope, name: str, found: Found) -> None:
    """One step down the path. At a place where the caller is no member it ends as if the place did not exist, so that
    nobody learns from the answer what lies behind.
    """
    there = found.id is not None
    if name == "organizations":
        scope.organization_id, scope.organization_role = found.id, found.my_role
        there = there and found.my_role is not None
    elif name == "orbits":
        scope.orbit_id, scope.orbit_role = found.id, found.my_role
        there = there and (scope.organization_role != "member" or found.my_role is not None)
    if not there:
        raise NotFound(f"There is no such {_SINGULAR.get(name, name[:-1].replace('_', ' '))}.")


def last_seen_is_old(moment: datetime | None, now: datetime, seconds: float) -> bool:
    """Whether a "last seen" is due to be written again; writing it at each request would cost more than it tells."""
    return moment is None or (now - moment).total_seconds() >= seconds
