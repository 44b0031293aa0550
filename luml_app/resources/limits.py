"""Limits of an organization, counted under a lock, so that they hold when many create at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from luml_app.core import tables as t
from luml_app.schemas.errors import LimitReached

_COUNTED: dict[str, Any] = {
    "members": select(func.count())
    .select_from(t.organization_members)
    .where(t.organization_members.c.organization_id == t.organizations.c.id),
    "orbits": select(func.count())
    .select_from(t.orbits)
    .where(t.orbits.c.organization_id == t.organizations.c.id, t.orbits.c.deleting_since.is_(None)),
    "satellites": select(func.count())
    .select_from(t.satellites.join(t.orbits, t.orbits.c.id == t.satellites.c.orbit_id))
    .where(t.orbits.c.organization_id == t.organizations.c.id),
    "artifacts": select(func.count())
    .select_from(t.artifacts.join(t.orbits, t.orbits.c.id == t.artifacts.c.orbit_id))
    .where(t.orbits.c.organization_id == t.organizations.c.id),
}


def check_limit(scope: Any, kind: str) -> None:
    """Raise LimitReached when the organization has no room for one more of `kind` (``"orbits"``).

    Without a limit this costs no statement. With one, it locks the organization's row until the transaction ends: the
    second of two creates counts what the first one has made.
    """
    organization = scope.row(t.organizations)
    if getattr(organization, f"{kind}_limit") is None:
        return
    o = t.organizations
    locked = select(o.c[f"{kind}_limit"]).where(o.c.id == organization.id).with_for_update()
    limit = scope.db.scalar(locked)
    count = scope.db.scalar(select(_COUNTED[kind].correlate(o).scalar_subquery()).where(o.c.id == organization.id))
    if limit is not None and count >= limit:
        raise LimitReached(f"The organization may have {limit} {kind}, and has them; delete one, or ask the operator.")
