"""Organizations: the tenants."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import granted
from luml_app.resources.auth import user_of
from luml_app.resources.buckets import add_builtin
from luml_app.resources.changes import sent
from luml_app.resources.deletions import begin_deletion, confirmed
from luml_app.resources.orbits import listed_orbits
from luml_app.schemas.deletions import Deletion
from luml_app.schemas.errors import Conflict
from luml_app.schemas.organizations import (
    Organization,
    OrganizationCreate,
    OrganizationDetails,
    OrganizationListed,
    OrganizationMember,
    OrganizationUpdate,
)

Listed = list[OrganizationListed]
Members = list[OrganizationMember]


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
        row = self.db.execute(
            insert(t.organizations).values(id=new_id(), name=body.name, logo=body.logo).returning(t.organizations)
        ).one()
        owner = {"id": new_id(), "organization_id": row.id, "user_id": self.scope.user_id, "role": "owner"}
        self.db.execute(insert(t.organization_members).values(owner))
        add_builtin(self.scope, row.id)
        self.scope.record("organization.create", row.id, organization_id=row.id, after={"name": row.name})
        return Organization(**_plain(row))

    @operation("GET /v1/organizations/{organization_id}", needs="organization:read")
    def get(self) -> OrganizationDetails:
        """An organization with its people, orbits, limits and totals."""
        organization = self.scope.row(t.organizations)
        members = self._members()
        orbits = listed_orbits(self.scope)
        return OrganizationDetails(
            **_plain(organization),
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

    def _members(self) -> Members:
        m, u = t.organization_members, t.users
        query = (
            select(
                m.c.id.label("member_id"), m.c.role, m.c.created_at.label("since"), m.c.updated_at.label("changed"), u
            )
            .join(u, u.c.id == m.c.user_id)
            .where(m.c.organization_id == self.scope.organization_id)
        )
        return [
            OrganizationMember(
                id=row.member_id,
                organization_id=self.scope.organization_id,
                role=row.role,
                user=user_of(row),
                created_at=row.since,
                updated_at=row.changed,
            )
            for row in self.db.execute(query.order_by(m.c.created_at, m.c.id))
        ]


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Organization.__struct_fields__}
