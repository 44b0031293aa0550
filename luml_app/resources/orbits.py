"""Orbits: the workspaces of an organization."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, literal, select, true, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import granted
from luml_app.resources.changes import sent
from luml_app.resources.deletions import begin_deletion, confirmed
from luml_app.resources.limits import check_limit
from luml_app.resources.orbit_members import add_members, members_of
from luml_app.schemas.deletions import Deletion
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
        row = self._insert(body)
        members = add_members(self.scope, row.id, body.members or [])
        self.scope.record("orbit.create", row.id, orbit_id=row.id, after={"name": row.name})
        return _new_orbit(row, members, self.scope)

    @operation("GET /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:read")
    def get(self) -> Orbit:
        """An orbit with its members and the tags of its collections."""
        return self._details(self.scope.orbit_id)

    @operation("PATCH /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:update")
    def update(self, body: OrbitUpdate) -> Orbit:
        """Change name or bucket; artifacts that are stored already stay where they are."""
        o = t.orbits
        before, changed = difference(self.scope.row(o).columns, sent(body, o))
        if changed:
            mine = [o.c.id == self.scope.orbit_id]
            if "bucket_secret_id" in changed:
                mine.append(self._bucket(changed["bucket_secret_id"]).exists())
            done = update(o).where(*mine).values(**changed, updated_at=func.now()).returning(o.c.id)
            if self.db.execute(done).one_or_none() is None:
                raise NotFound(_NO_BUCKET)
            self.scope.record("orbit.update", self.scope.orbit_id, before=before, after=changed)
        return self._details(self.scope.orbit_id)

    @operation("DELETE /v1/organizations/{organization_id}/orbits/{orbit_id}", needs="orbit:delete", status=204)
    def delete(self) -> None:
        """Delete an orbit that holds no artifacts and no satellites."""
        here = self.scope.orbit_id
        # Locked first: a create in the same moment holds a key-share lock on the row until it is done.
        self.db.execute(select(t.orbits.c.id).where(t.orbits.c.id == here).with_for_update())
        inside = {name: _inside(table, here).label(name) for name, table in _REASONS_TO_STAY.items()}
        row = self.db.execute(select(*inside.values())).one()
        if found := [name for name in inside if getattr(row, name)]:
            raise Conflict(f"The orbit has {' and '.join(found)}; delete them first.")
        self.db.execute(delete(t.orbits).where(t.orbits.c.id == self.scope.orbit_id))
        self.scope.record("orbit.delete", self.scope.orbit_id, before={"name": self.scope.row(t.orbits).name})

    @operation("DELETE /v1/organizations/{organization_id}/orbits/{orbit_id}/force", needs="orbit:delete", status=202)
    def force_delete(self, confirm: str) -> Deletion:
        """Delete an orbit with all that is in it: deployments, satellites, tracks, artifacts and their bytes.

        `confirm` is the orbit's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        one = self.scope.row(t.orbits)
        confirmed("orbit", one, confirm)
        return begin_deletion(self.scope, "orbit", one)

    def _bucket(self, bucket_id: Any) -> Any:
        """The organization's bucket of this id, as a query of its id."""
        b = t.buckets
        return select(b.c.id).where(b.c.id == bucket_id, b.c.organization_id == self.scope.organization_id)

    def _insert(self, body: OrbitCreate) -> Any:
        """The new orbit's row; its bucket must be one of the organization's."""
        columns = [literal(value) for value in (new_id(), self.scope.organization_id, body.name)]
        new = insert(t.orbits).from_select(
            ["bucket_secret_id", "id", "organization_id", "name"],
            self._bucket(body.bucket_secret_id).add_columns(*columns),
        )
        row = self.db.execute(new.returning(t.orbits)).one_or_none()
        if row is None:
            raise NotFound(_NO_BUCKET)
        return row

    def _details(self, orbit_id: Any) -> Orbit:
        row = self.db.execute(_orbits_with_totals(self.scope).where(t.orbits.c.id == orbit_id)).one()
        members = members_of(self.scope, orbit_id)
        return Orbit(**_plain(row, self.scope), members=members, collections_tags=row.collections_tags or [])


def listed_orbits(scope: Any) -> Listed:
    """The orbits of the scope's organization that its caller may enter, with totals."""
    o = t.orbits
    here = (o.c.organization_id == scope.organization_id, o.c.deleting_since.is_(None))
    query = _orbits_with_totals(scope).where(*here)
    if scope.organization_role == "member":
        query = query.where(t.orbit_members.c.role.is_not(None))
    if scope.only_orbit_id is not None:
        query = query.where(t.orbits.c.id == scope.only_orbit_id)
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
        )
    }
    c = t.collections
    artifacts = select(func.coalesce(func.sum(c.c.total_artifacts), 0)).where(c.c.orbit_id == o.c.id).scalar_subquery()
    total["artifacts"] = artifacts.label("total_artifacts")
    tag = func.unnest(t.collections.c.tags).table_valued("tag").render_derived()
    tags = select(func.array_agg(tag.c.tag.distinct())).select_from(t.collections.join(tag, true()))
    tags_here = tags.where(t.collections.c.orbit_id == o.c.id).scalar_subquery()
    own_role = (mine.c.orbit_id == o.c.id) & (mine.c.user_id == scope.user_id)
    return select(o, mine.c.role, *total.values(), tags_here.label("collections_tags")).outerjoin(mine, own_role)


_NO_BUCKET = "There is no such bucket in this organization."
_REASONS_TO_STAY = {"artifacts": t.artifacts, "satellites": t.satellites}


def _inside(table: Any, orbit_id: Any) -> Any:
    return select(1).where(table.c.orbit_id == orbit_id).exists()


def _new_orbit(row: Any, members: Members, scope: Any) -> Orbit:
    """An orbit that was made just now: what is in it needs no counting."""
    role = next((member.role for member in members if member.user.id == scope.user_id), None)
    own = {name: getattr(row, name) for name in Orbit.__struct_fields__ if name in t.orbits.c}
    totals: dict[str, Any] = dict.fromkeys(("total_collections", "total_satellites", "total_artifacts"), 0)
    totals["total_members"] = len(members)
    permissions = granted(scope.organization_role, role)
    return Orbit(**own, **totals, role=role, permissions=permissions, members=members, collections_tags=[])


def _plain(row: Any, scope: Any) -> dict[str, Any]:
    names = [name for name in OrbitListed.__struct_fields__ if name != "permissions"]
    permissions = granted(scope.organization_role, row.role)
    return {name: getattr(row, name) for name in names} | {"permissions": permissions}
