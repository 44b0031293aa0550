"""Limits of an organization, counted under a lock, so that they hold when many create at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, cast, func, select, update

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.events import record
from luml_app.schemas.errors import Conflict, LimitReached, NotFound

_O = t.organizations
COUNTED: dict[str, Any] = {
    "members": select(func.count())
    .select_from(t.organization_members)
    .where(t.organization_members.c.organization_id == _O.c.id),
    "orbits": select(func.count())
    .select_from(t.orbits)
    .where(t.orbits.c.organization_id == _O.c.id, t.orbits.c.deleting_since.is_(None)),
    "satellites": select(func.count())
    .select_from(t.satellites.join(t.orbits, t.orbits.c.id == t.satellites.c.orbit_id))
    .where(t.orbits.c.organization_id == _O.c.id),
    "artifacts": select(func.coalesce(func.sum(t.collections.c.total_artifacts), 0))
    .select_from(t.collections.join(t.orbits, t.orbits.c.id == t.collections.c.orbit_id))
    .where(t.orbits.c.organization_id == _O.c.id),
}


@dataclass(frozen=True)
class Limit:
    """How much of one kind an organization has, and how much it may have (None: no limit)."""

    used: int
    limit: int | None


@dataclass(frozen=True)
class Limits:
    """The limits of an organization by kind."""

    id: UUID
    name: str
    limits: dict[str, Limit]


def organization_limits(database: Database, organization: str, changes: Mapping[str, Any]) -> Limits:
    """Set limits of an organization (kind: number, or None for no limit), named by its name or id; what it has now.

    Raises NotFound when there is none, Conflict when several have the name.
    """
    with database.write() as db:
        organization_id = _find(db, organization)
        here = _O.c.id == organization_id
        if changes:
            values = {f"{kind}_limit": limit for kind, limit in changes.items()}
            db.execute(update(_O).where(here).values(**values, updated_at=func.now()))
            told: dict[str, Any] = {"organization_id": organization_id, "after": values}
            record(db, "organization.limit", object_id=organization_id, actor_kind="operator", **told)
        used = [query.correlate(_O).scalar_subquery().label(f"{kind}_used") for kind, query in COUNTED.items()]
        row = db.execute(select(_O, *used).where(here)).one()
    limits = {kind: Limit(getattr(row, f"{kind}_used"), getattr(row, f"{kind}_limit")) for kind in COUNTED}
    return Limits(row.id, row.name, limits)


def _find(db: Connection, organization: str) -> UUID:
    found: Sequence[UUID] = db.scalars(
        select(_O.c.id).where((_O.c.name == organization) | (cast(_O.c.id, Text) == organization))
    ).all()
    if not found:
        raise NotFound(f"There is no organization {organization!r}.")
    if len(found) > 1:
        raise Conflict(f"Several organizations are called {organization!r}; give the id: {', '.join(map(str, found))}.")
    return found[0]


def check_limit(scope: Any, kind: str) -> None:
    """Raise LimitReached when the organization has no room for one more of `kind` (``"orbits"``).

    Without a limit this costs no statement. With one, it locks the organization's row until the transaction ends: the
    second of two creates counts what the first one has made.
    """
    organization = scope.row(t.organizations)
    if getattr(organization, f"{kind}_limit") is None:
        return
    locked = select(_O.c[f"{kind}_limit"]).where(_O.c.id == organization.id).with_for_update()
    check_room(scope.db, organization.id, kind, scope.db.scalar(locked))


def check_room(db: Connection, organization_id: UUID, kind: str, limit: int | None) -> None:
    """The same for an organization whose row is locked already, and whose `limit` was read under the lock."""
    if limit is None:
        return
    count = db.scalar(select(COUNTED[kind].correlate(_O).scalar_subquery()).where(_O.c.id == organization_id)) or 0
    if count >= limit:
        raise LimitReached(f"The organization may have {limit} {kind}, and has them; delete one, or ask the operator.")


def check_organizations(scope: Any) -> None:
    """Raise LimitReached when the user owns as many organizations as the server lets anybody own."""
    limit, m = scope.settings.organizations_per_user, t.organization_members
    if limit is None:
        return
    scope.db.execute(select(t.users.c.id).where(t.users.c.id == scope.user_id).with_for_update(key_share=True))
    mine = select(func.count()).select_from(m).where(m.c.user_id == scope.user_id, m.c.role == "owner")
    if (scope.db.scalar(mine) or 0) >= limit:
        raise LimitReached(f"Everybody may own {limit} organizations here, and you do; delete one, or transfer it.")
