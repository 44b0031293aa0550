"""Orbits: the workspaces of an organization."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select, true, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import granted
from luml_app.resources.auth import user_of
from luml_app.resources.changes import sent
from luml_app.resources.limits import check_limit
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.organizations import Orbit, OrbitCreate, OrbitListed, OrbitMember, OrbitUpdate

Listed = list[OrbitListed]
Members = list[OrbitMember]


class Orbits(Resource):
    """Workspaces: members, one bucket, and everything below."""

    @operation("GET /v1/organizations/{organization_id}/orbits", needs="orbit:list")
    def list(self) -> Listed:
        """The orbits of an organization that one may enter."""
        return listed_orbits(self.scope)

    @operation("POST /v1/organizations/{organization_id}/orbits", needs="orbit:create")
    def create(self, body: OrbitCreate) -> Orbit:
        """Create an orbit on one of the organization's buckets."""
        check_limit(self.scope, "orbits")
        self._check_bucket(body.bucket_secret_id)
        orbit = {"id": new_id(), "name": body.name, "bucket_secret_id": body.bucket_secret_id}
        row = self.db.execute(
            insert(t.orbits).values(**orbit, organization_id=self.scope.organization_id).returning(t.orbits)
        ).one()
        self._add_members(row.id, body)
        self.scope.record("orbit.create", row.id, orbit_id=row.id, after={"name": row.name})
        return self._details(row.id)

    @operation("GET /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:read")
    def get(self) -> Orbit:
        """An orbit with its members and the tags of its collections."""
        return self._details(self.scope.orbit_id)

    @operation("PATCH /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:update")
    def update(self, body: OrbitUpdate) -> Orbit:
        """Change name or bucket; artifacts that are stored already stay where they are."""
        before, changed = difference(self.scope.row(t.orbits).columns, sent(body, t.orbits))
        if "bucket_secret_id" in changed:
            self._check_bucket(changed["bucket_secret_id"])
        if changed:
            mine = t.orbits.c.id == self.scope.orbit_id
            self.db.execute(update(t.orbits).where(mine).values(**changed, updated_at=func.now()))
            texts = [{k: str(v) for k, v in side.items()} for side in (before, changed)]
            self.scope.record("orbit.update", self.scope.orbit_id, before=texts[0], after=texts[1])
        return self._details(self.scope.orbit_id)

    @operation("DELETE /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:delete", status=204)
    def delete(self) -> None:
        """Delete an orbit that holds no artifacts and no satellites."""
        for table, what in ((t.artifacts, "artifacts"), (t.satellites, "satellites")):
            if self.db.scalar(select(func.count()).where(table.c.orbit_id == self.scope.orbit_id)):
                raise Conflict(f"The orbit has {what}; delete them first.")
        self.db.execute(delete(t.orbits).where(t.orbits.c.id == self.scope.orbit_id))
        self.scope.record("orbit.delete", self.scope.orbit_id, before={"name": self.scope.row(t.orbits).name})

    def _check_bucket(self, bucket_id: Any) -> None:
        b = t.buckets
        known = select(b.c.id).where(b.c.id == bucket_id, b.c.organization_id == self.scope.organization_id)
        if self.db.scalar(known) is None:
            raise NotFound("There is no such bucket in this organization.")

    def _add_members(self, orbit_id: Any, body: OrbitCreate) -> None:
        wanted = {member.user_id: member.role for member in body.members or []}
        if not wanted:
            return
        m = t.organization_members
        known = select(m.c.user_id).where(m.c.organization_id == self.scope.organization_id, m.c.user_id.in_(wanted))
        if missing := wanted.keys() - set(self.db.scalars(known)):
            raise NotFound(f"User {min(missing)} is not a member of this organization.")
        rows = [{"id": new_id(), "orbit_id": orbit_id, "user_id": user, "role": role} for user, role in wanted.items()]
        self.db.execute(insert(t.orbit_members), rows)

    def _details(self, orbit_id: Any) -> Orbit:
        row = self.db.execute(_orbits_with_totals(self.scope).where(t.orbits.c.id == orbit_id)).one()
        members = _members(self.scope, orbit_id)
        return Orbit(**_plain(row, self.scope), members=members, collections_tags=row.collections_tags or [])


def listed_orbits(scope: Any) -> Listed:
    """The orbits of the scope's organization that its caller may enter, with totals."""
    query = _orbits_with_totals(scope).where(t.orbits.c.organization_id == scope.organization_id)
    if scope.organization_role == "member":
        query = query.where(t.orbit_members.c.role.is_not(None))
    rows = scope.db.execute(query.order_by(t.orbits.c.created_at, t.orbits.c.id))
    return [OrbitListed(**_plain(row, scope)) for row in rows]


def _orbits_with_totals(scope: Any) -> Any:
    o, mine = t.orbits, t.orbit_members
    total = {
        f"total_{name}": select(func.count()).where(table.c.orbit_id == o.c.id).scalar_subquery().label(f"total_{name}")
        for name, table in (
            ("members", t.orbit_members.alias()),
            ("collections", t.collections),
            ("satellites", t.satellites),
            ("artifacts", t.artifacts),
        )
    }
    tag = func.unnest(t.collections.c.tags).table_valued("tag").render_derived()
    tags = select(func.array_agg(tag.c.tag.distinct())).select_from(t.collections.join(tag, true()))
    tags_here = tags.where(t.collections.c.orbit_id == o.c.id).scalar_subquery()
    own_role = (mine.c.orbit_id == o.c.id) & (mine.c.user_id == scope.user_id)
    return select(o, mine.c.role, *total.values(), tags_here.label("collections_tags")).outerjoin(mine, own_role)


def _members(scope: Any, orbit_id: Any) -> Members:
    m, u = t.orbit_members, t.users
    query = (
        select(m.c.id.label("member_id"), m.c.role, m.c.created_at.label("since"), m.c.updated_at.label("changed"), u)
        .join(u, u.c.id == m.c.user_id)
        .where(m.c.orbit_id == orbit_id)
        .order_by(m.c.created_at, m.c.id)
    )
    return [
        OrbitMember(
            id=row.member_id,
            orbit_id=orbit_id,
            role=row.role,
            user=user_of(row),
            created_at=row.since,
            updated_at=row.changed,
        )
        for row in scope.db.execute(query)
    ]


def _plain(row: Any, scope: Any) -> dict[str, Any]:
    names = [name for name in OrbitListed.__struct_fields__ if name != "permissions"]
    permissions = granted(scope.organization_role, row.role)
    return {name: getattr(row, name) for name in names} | {"permissions": permissions}
