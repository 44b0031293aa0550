"""Invitations: the invites to oneself, by the address of one's account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, literal, select

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.resources.limits import check_room
from luml_app.resources.membership import may_make
from luml_app.resources.people import invites, organization_members
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.organizations import OrganizationInvite, OrganizationMember

_ONE = "/v1/users/me/invitations/{invite_id}"
Listed = list[OrganizationInvite]


class Invitations(Resource):
    """The invitations to one's own address."""

    @operation("GET /v1/users/me/invitations")
    def list(self) -> Listed:
        """The invitations that one can accept or reject."""
        i = t.invites
        mine = (i.c.email == self.scope.caller.name) & (i.c.expires_at > func.now())
        mine &= t.organizations.c.deleting_since.is_(None)
        return msgspec.convert([*self.db.scalars(invites().where(mine))], Listed)

    @operation(f"POST {_ONE}/accept")
    def accept(self) -> OrganizationMember:
        """Become a member. The invitation must be in time, and who has sent it must still be allowed to."""
        invite = self.scope.row(t.invites)
        place = self._locked_place(invite)
        _check_valid(invite, place)
        check_room(self.db, invite.organization_id, "members", place.members_limit)
        found = self.db.scalar(self._acceptance(invite))
        if found is None:
            raise NotFound("This invitation has been answered or taken back.")
        member = msgspec.convert(found, OrganizationMember)
        after = {"email": member.user.email, "role": member.role}
        self.scope.record("invite.accept", invite.id, organization_id=invite.organization_id, after=after)
        return member

    @operation(f"POST {_ONE}/reject", status=204)
    def reject(self) -> None:
        """Say no; the invitation is gone."""
        invite = self.scope.row(t.invites)
        self.db.execute(delete(t.invites).where(t.invites.c.id == invite.id))
        before = {"email": invite.email, "role": invite.role}
        self.scope.record("invite.reject", invite.id, organization_id=invite.organization_id, before=before)

    def _locked_place(self, invite: Any) -> Any:
        """The organization, whose members stay as many as they are, and the role of who has invited."""
        o, m = t.organizations, t.organization_members
        inviter = (m.c.organization_id == o.c.id) & (m.c.user_id == invite.invited_by_id)
        query = select(o.c.members_limit, m.c.role.label("inviter")).select_from(o.outerjoin(m, inviter))
        alive = (o.c.id == invite.organization_id) & o.c.deleting_since.is_(None)
        place = self.db.execute(query.where(alive).with_for_update(of=o)).one_or_none()
        if place is None:
            raise NotFound("The organization is being deleted.")
        return place

    def _acceptance(self, invite: Any) -> Any:
        """One statement that uses the invite up and adds the member: of two, only one finds it there."""
        i, m = t.invites, t.organization_members
        used = delete(i).where(i.c.id == invite.id, i.c.expires_at > func.now()).returning(i).cte("used")
        mine = [literal(new_id()), literal(self.scope.user_id)]
        columns = ["organization_id", "role", "id", "user_id"]
        new = insert(m).from_select(columns, select(used.c.organization_id, used.c.role, *mine))
        return organization_members(new.returning(m).cte("new"))


def _check_valid(invite: Any, place: Any) -> None:
    if invite.expires_at <= datetime.now(UTC):
        raise Conflict(f"This invitation has expired on {invite.expires_at:%Y-%m-%d}; ask for a new one.")
    if not may_make(place.inviter, invite.role):
        raise Conflict("Who has sent this invitation may not do so any more; ask for a new one.")
