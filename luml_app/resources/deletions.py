"""The deletion of a whole place: asked for here, done by the chore of `erasing`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.scope import Scope
from luml_app.jobs.chores import queue_chore
from luml_app.resources.erasing import erase
from luml_app.schemas.deletions import Deletion, DeletionKind
from luml_app.schemas.errors import Invalid, NotFound

PLACES: dict[DeletionKind, Any] = {
    "collection": t.collections,
    "orbit": t.orbits,
    "organization": t.organizations,
}
Listed = list[Deletion]


class Deletions(Resource):
    """Deletions of collections, orbits and organizations with all that is in them."""

    @operation("GET /v1/users/me/deletions")
    def list(self) -> Listed:
        """The latest hundred deletions that one has asked for, or that others have in organizations that one runs."""
        d, m = t.deletions, t.organization_members
        run = select(m.c.organization_id).where(m.c.user_id == self.scope.user_id, m.c.role != "member")
        mine = or_(d.c.requested_by == self.scope.user_id, d.c.organization_id.in_(run))
        rows = self.db.execute(select(d).where(mine).order_by(d.c.created_at.desc(), d.c.id).limit(100))
        return [deletion_of(row) for row in rows]


def confirmed(kind: DeletionKind, row: Any, confirm: str) -> None:
    """Raise Invalid unless `confirm` is the name of the place."""
    if confirm != row.name:
        raise Invalid.field("confirm", f"Send the name of the {kind} that is to be deleted.", where="query")


def begin_deletion(scope: Scope, kind: DeletionKind, row: Any) -> Deletion:
    """Make a place disappear, and have it deleted with all that is in it. Raises NotFound when somebody else has."""
    place = PLACES[kind]
    there = (place.c.id == row.id, place.c.deleting_since.is_(None))
    marked = update(place).where(*there).values(deleting_since=func.now()).returning(place.c.id)
    if scope.db.execute(marked).one_or_none() is None:
        raise NotFound(f"The {kind} is being deleted already.")
    begun = {
        "id": new_id(),
        "kind": kind,
        "object_id": row.id,
        "organization_id": scope.organization_id,
        "orbit_id": scope.orbit_id,
        "name": row.name,
        "requested_by": scope.user_id,
        "requested_by_name": scope.actor_name,
    }
    made = scope.db.execute(insert(t.deletions).values(begun).returning(t.deletions)).one()
    scope.record(f"{kind}.force_delete", row.id, before={"name": row.name})
    queue_deletion(scope.db, made.id)
    return deletion_of(made)


def queue_deletion(db: Any, deletion_id: UUID) -> None:
    """Have a deletion begun or taken up again."""
    queue_chore(db, erase, {"deletion_id": str(deletion_id)}, key=str(deletion_id))


def deletion_of(row: Any) -> Deletion:
    """A deletion from its row."""
    return Deletion(**{name: getattr(row, name) for name in Deletion.__struct_fields__})
