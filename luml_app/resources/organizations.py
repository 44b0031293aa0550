"""Organizations: the tenants."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import case, delete, exists, func, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import granted
from luml_app.resources.buckets import add_builtin
from luml_app.resources.changes import sent
from luml_app.resources.deletions import begin_deletion, confirmed
from luml_app.resources.limits import check_organizations
from luml_app.resources.membership import check_person, lock_member, remove_member
from luml_app.resources.orbits import listed_orbits
from luml_app.resources.people import as_array, invites, organization_members
from luml_app.schemas.deletions import Deletion
from luml_app.schemas.errors import Conflict
from luml_app.schemas.organizations import (
    Organization,
    OrganizationCreate,
    OrganizationDetails,
    OrganizationInvite,
    OrganizationListed,
    OrganizationMember,
    OrganizationUpdate,
    OwnershipTransfer,
)

Listed = list[OrganizationListed]
Members = list[OrganizationMember]
Invites = list[OrganizationInvite]


class Organizations(Resource):
    """Tenants: members, buckets, orbits and limits."""

    @operation("GET /v1/users/me/organizations")
    def list(self) -> Listed:
        """The organizations that one is a member of."""
        o, m = t.organizations, t.organization_members
        mine = select(o, m.c.role).join(m, m.c.organization_id == o.c.id).where(m.c.user_id == self.scope.user_id)
        if self.scope.only_orbit_id is not None:
            around = select(t.orbits.c.organization_id).where(t.orbits.c.id == self.scope.only_orbit_id)
            mine = mine.where(o.c.id.in_(around))
        rows = self.db.execute(mine.where(o.c.deleting_since.is_(None)).order_by(o.c.created_at, o.c.id))
        return [OrganizationListed(**_plain(row), role=row.role, permissions=granted(row.role)) for row in rows]

    @operation("POST /v1/organizations")
    def create(self, body: OrganizationCreate) -> Organization:
        """Create an organization, which one then owns, with a built-in bucket to begin with."""
        check_person(self.scope.caller.service_of, "own an organization")
        check_organizations(self.scope)
        row = self._insert(body)
        add_builtin(self.scope, row.id)
        self.scope.record("organization.create", row.id, organization_id=row.id, after={"name": row.name})
        return Organization(**_plain(row))

    @operation("GET /v1/organizations/{organization_id}", needs="organization:read")
    def get(self) -> OrganizationDetails:
        """An organization with its people, orbits, limits and totals."""
        organization = self.scope.row(t.organizations)
        members, invited = self._people()
        orbits = listed_orbits(self.scope)
        return OrganizationDetails(
            **_plain(organization),
            invites=invited,
            members=members,
            orbits=orbits,
            members_by_role=dict(Counter(member.role for member in members)),
            total_members=len(members),
            total_orbits=len(orbits),
            total_satellites=sum(orbit.total_satellites or 0 for orbit in orbits),
            total_artifacts=sum(orbit.total_artifacts or 0 for orbit in orbits),
            members_limit=organization.members_limit or 0,
            orbits_limit=organization.orbits_limit or 0,
            satellites_limit=organization.satellites_limit or 0,
            artifacts_limit=organization.artifacts_limit or 0,
            permissions=granted(self.scope.organization_role),
        )

    @operation("PATCH /v1/organizations/{organization_id}", needs="organization:update")
    def update(self, body: OrganizationUpdate) -> OrganizationDetails:
        """Change name or logo."""
        before, changed = difference(self.scope.row(t.organizations).columns, sent(body, t.organizations))
        if changed:
            o = t.organizations
            new = update(o).where(o.c.id == self.scope.organization_id).values(**changed, updated_at=func.now())
            self.scope.found["organizations"].columns.update(self.db.execute(new.returning(o)).one()._mapping)
            self.scope.record("organization.update", self.scope.organization_id, before=before, after=changed)
        return self.get()

    @operation("DELETE /v1/organizations/{organization_id}", needs="organization:delete", status=204)
    def delete(self) -> None:
        """Delete an empty organization."""
        o, one = t.organizations, self.scope.row(t.organizations)
        # Locked first: a create in the same moment holds a key-share lock on the row until it is done.
        self.db.execute(select(o.c.id).where(o.c.id == one.id).with_for_update())
        left = self._left_in_it()
        if left.orbits:
            raise Conflict("The organization has orbits; delete them first.")
        if left.leftovers:
            begin_deletion(self.scope, "organization", one)
            return
        self.db.execute(delete(o).where(o.c.id == one.id))
        self.scope.record("organization.delete", one.id, before={"name": one.name})

    @operation("DELETE /v1/organizations/{organization_id}/force", needs="organization:delete", status=202)
    def force_delete(self, confirm: str) -> Deletion:
        """Delete an organization with all its orbits and what is in them, and the bytes in its buckets.

        `confirm` is the organization's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        one = self.scope.row(t.organizations)
        confirmed("organization", one, confirm)
        return begin_deletion(self.scope, "organization", one)

    @operation("DELETE /v1/organizations/{organization_id}/leave", needs="organization:leave", status=204)
    def leave(self) -> None:
        """Leave an organization and all of its orbits; an owner transfers the ownership first."""
        member = lock_member(self.scope, "organization:leave")
        check_person(member.service_of, "leave its organization")
        remove_member(self.scope, member)
        self.scope.record("organization_member.leave", member.id, before={"role": member.role})

    @operation("POST /v1/organizations/{organization_id}/transfer", needs="organization:transfer")
    def transfer(self, body: OwnershipTransfer) -> OrganizationMember:
        """Make another member the owner in one's place, and oneself an admin; the answer is the new owner."""
        m, me = t.organization_members, self.scope.user_id
        member = lock_member(self.scope, "organization:transfer", body.member_id)
        check_person(member.service_of, "own an organization")
        if member.user_id == me:
            raise Conflict("You are the owner already; name the member who shall be.")
        both = (m.c.organization_id == self.scope.organization_id) & m.c.user_id.in_([me, member.user_id])
        role = case((m.c.id == member.id, "owner"), else_="admin")
        new = update(m).where(both).values(role=role, updated_at=func.now()).returning(m).cte("new")
        owner = self.db.scalars(organization_members(new).where(new.c.id == member.id)).one()
        before, after = {"owner": str(me)}, {"owner": str(member.user_id)}
        self.scope.record("organization.transfer", self.scope.organization_id, before=before, after=after)
        return msgspec.convert(owner, OrganizationMember)

    def _left_in_it(self) -> Any:
        """`orbits`: whether it has some. `leftovers`: whether something in it is still being deleted, which must not
        lose its buckets before that is done.
        """
        o, b, noted, mine = t.orbits, t.buckets, t.doomed_objects, self.scope.organization_id
        inside = (o.c.organization_id == mine, noted.c.bucket_secret_id == b.c.id, b.c.organization_id == mine)
        there = exists(select(1).where(inside[0], o.c.deleting_since.is_(None)))
        leaving = exists(select(1).where(inside[0], o.c.deleting_since.is_not(None)))
        objects = exists(select(1).where(*inside[1:]))
        return self.db.execute(select(there.label("orbits"), or_(leaving, objects).label("leftovers"))).one()

    def _insert(self, body: OrganizationCreate) -> Any:
        """The organization with its first owner, in one statement."""
        organization_id, o = new_id(), t.organizations
        owner = {"id": new_id(), "organization_id": organization_id, "user_id": self.scope.user_id, "role": "owner"}
        new = insert(o).values(id=organization_id, name=body.name, logo=body.logo).returning(o).cte("new")
        first = insert(t.organization_members).values(owner).cte("first")
        return self.db.execute(select(new).add_cte(first)).one()

    def _people(self) -> tuple[Members, Invites]:
        """Members and open invites, in one query."""
        m, i, here = t.organization_members, t.invites, self.scope.organization_id
        members, open_ = (
            as_array(organization_members().where(m.c.organization_id == here)),
            as_array(invites().where(i.c.organization_id == here)),
        )
        row = self.db.execute(select(members.label("members"), open_.label("invites"))).one()
        return msgspec.convert(row.members, Members), msgspec.convert(row.invites, Invites)


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Organization.__struct_fields__}
