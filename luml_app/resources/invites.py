"""Invites: addresses that shall become members. The organization's side; `invitations.py` is that of the invited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.resources.invite_mail import queue_invite_mail
from luml_app.resources.limits import check_room
from luml_app.resources.membership import check_rank
from luml_app.resources.people import invites
from luml_app.resources.service_accounts import is_service_address
from luml_app.schemas.errors import Conflict, Invalid
from luml_app.schemas.organizations import OrganizationInvite, OrganizationInviteCreate

_ALL = "/v1/organizations/{organization_id}/invitations"
_ONE = _ALL + "/{invite_id}"
Listed = list[OrganizationInvite]


class Invites(Resource):
    """Invitations to an organization. They wait for people who have no account yet, and expire."""

    @operation(f"GET {_ALL}", needs="invite:list")
    def list(self) -> Listed:
        """The invitations that nobody has answered yet, expired ones among them."""
        here = t.invites.c.organization_id == self.scope.organization_id
        return msgspec.convert([*self.db.scalars(invites().where(here))], Listed)

    @operation(f"POST {_ALL}", needs="invite:create")
    def create(self, body: OrganizationInviteCreate) -> OrganizationInvite:
        """Invite an address, with or without an account; an expired invitation of it is renewed."""
        email = body.email.lower()
        check_rank(self.scope, body.role)
        if is_service_address(email):
            raise Invalid.field("email", "This is a service account; add it to orbits instead.")
        organization = self.scope.row(t.organizations)
        # Not under a lock: this is a courtesy, and the limit is kept when the invitation is accepted.
        check_room(self.db, organization.id, "members", organization.members_limit)
        found = self.db.scalar(self._insertion(email, body.role))
        if found is None:
            raise Conflict(self._reason_against(email))
        return self._sent("invite.create", found)

    @operation(f"POST {_ONE}/resend", needs="invite:update")
    def resend(self) -> OrganizationInvite:
        """Send an invitation again, in one's own name; it is good for the full time once more."""
        i, one = t.invites, self.scope.row(t.invites)
        check_rank(self.scope, one.role)
        values = {"expires_at": self._end(), "invited_by_id": self.scope.user_id, "updated_at": func.now()}
        new = update(i).where(i.c.id == one.id).values(**values).returning(i).cte("new")
        return self._sent("invite.resend", self.db.scalars(invites(new)).one())

    @operation(f"DELETE {_ONE}", needs="invite:delete", status=204)
    def delete(self) -> None:
        """Take an invitation back."""
        one = self.scope.row(t.invites)
        self.db.execute(delete(t.invites).where(t.invites.c.id == one.id))
        self.scope.record("invite.delete", one.id, before={"email": one.email, "role": one.role})

    def _end(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.scope.settings.invite_days)

    def _sent(self, action: str, document: Any) -> OrganizationInvite:
        """The one place where an invitation goes out."""
        invite = msgspec.convert(document, OrganizationInvite)
        after = {"email": invite.email, "role": invite.role, "expires_at": invite.expires_at}
        self.scope.record(action, invite.id, after=after)
        queue_invite_mail(self.scope, invite)
        return invite

    def _insertion(self, email: str, role: str) -> Any:
        """One statement that adds the invite, unless the address is a member's or invited already."""
        i, m, u, now = t.invites, t.organization_members, t.users, func.now()
        here, me, end = self.scope.organization_id, self.scope.user_id, self._end()
        row = {"id": new_id(), "organization_id": here, "email": email, "role": role, "invited_by_id": me}
        row |= {"expires_at": end}
        known = select(1).select_from(m.join(u, u.c.id == m.c.user_id))
        member = known.where(m.c.organization_id == here, u.c.email == email).exists()
        columns = [literal(value, i.c[name].type) for name, value in row.items()]
        new = insert(i).from_select([*row], select(*columns).where(~member))
        fresh = {"role": role, "invited_by_id": me, "expires_at": end, "created_at": now, "updated_at": None}
        renewed = new.on_conflict_do_update(
            constraint="invites_organization_id_email_key", set_=fresh, where=i.c.expires_at <= now
        )
        return invites(renewed.returning(i).cte("new"))

    def _reason_against(self, email: str) -> str:
        i = t.invites
        waiting = select(1).where(i.c.organization_id == self.scope.organization_id, i.c.email == email)
        if self.db.scalar(waiting) is None:
            return f"{email} is a member of the organization already."
        return f"{email} is invited already; send that invitation again, or delete it."
