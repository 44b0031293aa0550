"""Members and invites as the documents that travel, built by PostgreSQL: one column each, however deep they are."""

from __future__ import annotations

from itertools import chain
from typing import Any

from sqlalchemy import JSON, FromClause, Select, case, func, null, select

from luml_app.core import tables as t

_USER = ("id", "email", "full_name", "disabled", "photo")
_ORGANIZATION = ("id", "name", "logo", "created_at", "updated_at")
_INVITE = ("id", "email", "role", "organization_id", "created_at", "expires_at")


def organization_members(m: FromClause = t.organization_members) -> Select[Any]:
    """Documents of organization members, those of the table or of a statement that returns its rows."""
    return _members(m, "organization_id")


def orbit_members(m: FromClause = t.orbit_members) -> Select[Any]:
    """Documents of orbit members, those of the table or of a statement that returns its rows."""
    return _members(m, "orbit_id")


def invites(i: FromClause = t.invites) -> Select[Any]:
    """Documents of invites, with who has invited and to which organization."""
    u, o = t.users, t.organizations
    inviter = case((u.c.id.is_(None), null()), else_=_document(**_columns(u, _USER)))
    parts = {"invited_by_user": inviter, "organization": _document(**_columns(o, _ORGANIZATION))}
    places = i.join(o, o.c.id == i.c.organization_id).outerjoin(u, u.c.id == i.c.invited_by_id)
    return select(_document(**_columns(i, _INVITE), **parts)).select_from(places).order_by(i.c.created_at, i.c.id)


def as_array(documents: Select[Any]) -> Any:
    """The documents in one column of one row, in their order."""
    rows = documents.subquery()
    return func.coalesce(select(func.json_agg(rows.c[0])).scalar_subquery(), func.json_build_array())


def _members(m: FromClause, place: str) -> Select[Any]:
    u, own = t.users, _columns(m, ("id", place, "role", "created_at", "updated_at"))
    both = m.join(u, u.c.id == m.c.user_id)
    user = _document(**_columns(u, _USER))
    return select(_document(**own, user=user)).select_from(both).order_by(m.c.created_at, m.c.id)


def _columns(table: FromClause, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: table.c[name] for name in names}


def _document(**parts: Any) -> Any:
    return func.json_build_object(*chain.from_iterable(parts.items()), type_=JSON)
