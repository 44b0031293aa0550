"""Orbit members: who may enter an orbit, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import column, delete, func, insert, select, update, values

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.resources.membership import check_other
from luml_app.resources.people import orbit_members
from luml_app.schemas.errors import NotFound
from luml_app.schemas.organizations import OrbitMember, OrbitMemberAdded, OrbitMemberUpdate

_ALL = "/v1/organizations/{organization_id}/orbits/{orbit_id}/members"
_ONE = _ALL + "/{member_id}"
_REMEDY = "ask another admin of the orbit or of the organization"
Members = list[OrbitMember]
Added = list[OrbitMemberAdded]


class OrbitMembers(Resource):
    """Members of an organization in one of its orbits."""

    @operation(f"GET {_ALL}", needs="orbit_member:list")
    def list(self) -> Members:
        """The members of an orbit, the longest-standing first."""
        return members_of(self.scope, self.scope.orbit_id)

    @operation(f"POST {_ALL}", needs="orbit_member:create")
    def create(self, body: OrbitMemberAdded) -> OrbitMember:
        """Let a member of the organization into the orbit."""
        (member,) = add_members(self.scope, self.scope.orbit_id, [body])
        after = {"email": member.user.email, "role": member.role}
        self.scope.record("orbit_member.create", member.id, after=after)
        return member

    @operation(f"PATCH {_ONE}", needs="orbit_member:update")
    def update(self, body: OrbitMemberUpdate) -> OrbitMember:
        """Give a member of the orbit another role."""
        m, one = t.orbit_members, self.scope.row(t.orbit_members)
        check_other(self.scope, one.user_id, _REMEDY)
        if one.role == body.role:
            return _one(self.db, orbit_members().where(m.c.id == one.id))
        new = update(m).where(m.c.id == one.id).values(role=body.role, updated_at=func.now()).returning(m)
        changed = _one(self.db, orbit_members(new.cte("new")))
        after = {"email": changed.user.email, "role": body.role}
        self.scope.record("orbit_member.update", one.id, before={"role": one.role}, after=after)
        return changed

    @operation(f"DELETE {_ONE}", needs="orbit_member:delete", status=204)
    def delete(self) -> None:
        """Remove somebody from the orbit; they stay in the organization."""
        m, one = t.orbit_members, self.scope.row(t.orbit_members)
        check_other(self.scope, one.user_id, _REMEDY)
        self.db.execute(delete(m).where(m.c.id == one.id))
        self.scope.record("orbit_member.delete", one.id, before={"user_id": str(one.user_id), "role": one.role})


def members_of(scope: Any, orbit_id: UUID) -> Members:
    """The members of an orbit, the longest-standing first."""
    here = t.orbit_members.c.orbit_id == orbit_id
    return msgspec.convert([*scope.db.scalars(orbit_members().where(here))], Members)


def add_members(scope: Any, orbit_id: UUID, wanted: Added) -> Members:
    """Put people into an orbit. Raises NotFound unless all of them are in the organization."""
    roles = {member.user_id: member.role for member in wanted}
    if not roles:
        return []
    added = scope.db.scalars(orbit_members(_insertion(scope, orbit_id, roles).cte("added")))
    members = msgspec.convert([*added], Members)
    if missing := roles.keys() - {member.user.id for member in members}:
        raise NotFound(f"User {min(missing)} is not a member of this organization.")
    return members


def _one(db: Any, documents: Any) -> OrbitMember:
    return msgspec.convert(db.scalars(documents).one(), OrbitMember)


def _insertion(scope: Any, orbit_id: UUID, roles: Mapping[UUID, str]) -> Any:
    """Whoever leaves the organization in the same moment waits for this, and is then removed from the orbit, too."""
    om, m = t.organization_members, t.orbit_members
    names = ["id", "orbit_id", "user_id", "role"]
    rows = [(new_id(), orbit_id, user_id, role) for user_id, role in roles.items()]
    asked = values(*(column(name, m.c[name].type) for name in names), name="asked").data(rows)
    inside = (om.c.user_id == asked.c.user_id) & (om.c.organization_id == scope.organization_id)
    present = select(asked).join(om, inside).with_for_update(read=True, key_share=True, of=om)
    return insert(m).from_select(names, present).returning(m)
