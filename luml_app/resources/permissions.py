"""Permissions: what one may do somewhere, and why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import Decision, decide, is_held_in_orbits, is_permission
from luml_app.schemas.errors import Invalid, NotFound
from luml_app.schemas.permissions import Permission


class Permissions(Resource):
    """What one may do in an organization or an orbit."""

    @operation("GET /v1/permissions")
    def check(self, permission: str, organization_id: UUID | None = None, orbit_id: UUID | None = None) -> Permission:
        """Whether one holds a permission, such as ``deployment:create``, in an orbit or else an organization; and why.

        A place that one cannot see is not found.
        """
        if not is_permission(permission):
            raise Invalid.field("permission", "There is no such permission; one is deployment:create.", where="query")
        if organization_id is None and orbit_id is None:
            raise Invalid.field("orbit_id", "Say where: give orbit_id or organization_id.", where="query")
        roles = self._roles(organization_id, orbit_id)
        decision = decide(permission, *roles)
        only = self.scope.only_orbit_id
        if only is not None and (only != orbit_id or not is_held_in_orbits(permission)):
            decision = Decision(False, "This API key is bound to one orbit and opens nothing else.")
        return Permission(permission=permission, allowed=decision.allowed, why=decision.why)

    def _roles(self, organization_id: UUID | None, orbit_id: UUID | None) -> tuple[str, str | None]:
        """The caller's roles in organization and orbit. Raises NotFound where they may not enter."""
        m, o, om, me = t.organization_members, t.orbits, t.orbit_members, self.scope.user_id
        p = t.organizations
        alive = (p.c.id == m.c.organization_id) & p.c.deleting_since.is_(None)
        if orbit_id is None:
            here = select(m.c.role).join(p, alive).where(m.c.user_id == me, p.c.id == organization_id)
            return self._found(here, "organization").role, None
        query = (
            select(m.c.role, om.c.role.label("orbit_role"))
            .select_from(o.join(m, m.c.organization_id == o.c.organization_id).join(p, alive))
            .outerjoin(om, (om.c.orbit_id == o.c.id) & (om.c.user_id == me))
            .where(o.c.id == orbit_id, o.c.deleting_since.is_(None), m.c.user_id == me)
            .where((m.c.role != "member") | om.c.role.is_not(None))
        )
        if organization_id is not None:
            query = query.where(o.c.organization_id == organization_id)
        row = self._found(query, "orbit")
        return row.role, row.orbit_role

    def _found(self, query: Any, what: str) -> Any:
        row = self.db.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"There is no such {what}.")
        return row
