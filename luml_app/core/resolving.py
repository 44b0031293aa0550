"""Scope by construction: one query finds the caller and every object of the path, each inside its parent.

What that query did not find does not exist for the operation. The rows it found are the only way on to others, so an
id of another tenant can never be reached by forgetting a WHERE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, FromClause, Table, and_, bindparam, func, select

from luml_app.core import tables as t
from luml_app.core.keys import Keys
from luml_app.core.operations import Operation
from luml_app.core.paths import link, tables_of
from luml_app.core.prepared import Prepared
from luml_app.core.scope import Credentials, Found, Scope
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Conflict, Forbidden, NotFound, Unauthenticated


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
    for parameter, table in tables_of(operation):
        on_path = and_(table.c.id == bindparam(parameter), link(table, parent, caller, operation))
        source = source.outerjoin(table, on_path)
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
                k.c.expires_at,
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
                sat.c.session_instance,
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


def _filled(scope: Scope, operation: Operation, found_here: dict[str, Found]) -> Scope:
    scope.caller = found_here.pop("caller")
    _check_key_scope(scope.caller)
    scope.found = found_here
    for name, found in scope.found.items():
        _take_step(scope, name, found)
    if operation.by == "satellite":
        scope.organization_id, scope.orbit_id = scope.caller.organization_id, scope.caller.orbit_id
        _check_instance(scope, operation)
    elif operation.needs is not None:
        scope.require(operation.needs)
    _check_key_orbit(scope, operation)
    return scope


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
        kinds = " and ".join(sorted(caller.columns["scopes"]))
        raise Forbidden(f"This API key is for {kinds} only; the registry needs one with the scope 'api'.")


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


def _check_instance(scope: Scope, operation: Operation) -> None:
    """What an instance of a satellite says when another one has taken its place meanwhile is not heard. Satellites that
    name no instance, as older ones, are on their own.
    """
    mine, theirs = scope.credentials.instance, scope.caller.session_instance
    if mine and theirs not in (None, mine) and not operation.reads and operation.name not in SESSIONS:
        raise Conflict(f"The instance {theirs} of this satellite is at work, and this one is not any more.")


SESSIONS = {"agent.open_session", "agent.close_session"}
"""What an instance that is not at work may do: ask to be, and give up."""


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
