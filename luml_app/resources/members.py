"""Members: the people, and the service accounts, of an organization."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, literal, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.resources.limits import check_limit
from luml_app.resources.membership import check_other, check_person, check_rank, lock_member, remove_member
from luml_app.resources.people import organization_members
from luml_app.schemas.errors import NotFound
from luml_app.schemas.organizations import OrganizationMember, OrganizationMemberCreate, OrganizationMemberUpdate

_ALL = "/v1/organizations/{organization_id}/members"
_ONE = _ALL + "/{member_id}"
Listed = list[OrganizationMember]


class Members(Resource):
    """People in an organization. Only an owner makes or changes an admin, and nobody changes themselves."""

    @operation(f"GET {_ALL}", needs="organization_member:list")
    def list(self) -> Listed:
        """The members of an organization, the longest-standing first."""
        here = t.organization_members.c.organization_id == self.scope.organization_id
        return msgspec.convert([*self.db.scalars(organization_members().where(here))], Listed)

    @operation(f"POST {_ALL}", needs="organization_member:create")
    def create(self, body: OrganizationMemberCreate) -> OrganizationMember:
        """Make somebody with an account a member at once; an invitation that waits for them is used up."""
        check_rank(self.scope, body.role)
        check_limit(self.scope, "members")
        found = self.db.scalar(self._insertion(body))
        if found is None:
            raise NotFound("There is no such user.")
        member = msgspec.convert(found, OrganizationMember)
        self.scope.record("organization_member.create", member.id, after=_facts(member.user.email, body.role))
        return member

    @operation(f"PATCH {_ONE}", needs="organization_member:update")
    def update(self, body: OrganizationMemberUpdate) -> OrganizationMember:
        """Give a member another role."""
        member = lock_member(self.scope, "organization_member:update", self.scope.row(t.organization_members).id)
        check_other(self.scope, member.user_id, "ask another owner, or transfer the ownership")
        check_rank(self.scope, member.role, body.role)
        if body.role == "owner":
            check_person(member.service_of, "own an organization")
        m = t.organization_members
        if member.role == body.role:
            return _one(self.db, organization_members().where(m.c.id == member.id))
        new = update(m).where(m.c.id == member.id).values(role=body.role, updated_at=func.now()).returning(m)
        changed = _one(self.db, organization_members(new.cte("new")))
        before, after = {"role": member.role}, _facts(changed.user.email, body.role)
        self.scope.record("organization_member.update", member.id, before=before, after=after)
        return changed

    @operation(f"DELETE {_ONE}", needs="organization_member:delete", status=204)
    def delete(self) -> None:
        """Remove a member from the organization and from all of its orbits."""
        member = lock_member(self.scope, "organization_member:delete", self.scope.row(t.organization_members).id)
        check_other(self.scope, member.user_id, "leave the organization instead")
        check_person(member.service_of, "be removed from its organization; delete the service account")
        check_rank(self.scope, member.role)
        remove_member(self.scope, member)
        before = {"user_id": str(member.user_id), "role": member.role}
        self.scope.record("organization_member.delete", member.id, before=before)

    def _insertion(self, body: OrganizationMemberCreate) -> Any:
        """One statement that adds the member, if there is such a user, and deletes their invitation."""
        m, u, i = t.organization_members, t.users, t.invites
        place = [literal(value) for value in (new_id(), self.scope.organization_id, body.role)]
        user = select(u.c.id, *place).where(u.c.id == body.user_id, u.c.disabled.is_(False), u.c.service_of.is_(None))
        new = insert(m).from_select(["user_id", "id", "organization_id", "role"], user).returning(m).cte("new")
        email = select(u.c.email).where(u.c.id == body.user_id).scalar_subquery()
        answered = delete(i).where(i.c.organization_id == self.scope.organization_id, i.c.email == email)
        return organization_members(new).add_cte(answered.cte("answered"))


def _one(db: Any, documents: Any) -> OrganizationMember:
    return msgspec.convert(db.scalars(documents).one(), OrganizationMember)


def _facts(email: str, role: str) -> dict[str, str]:
    return {"email": email, "role": role}
