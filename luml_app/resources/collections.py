"""Collections: named groups of artifacts inside an orbit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import beginning_of, fetch_page
from luml_app.resources.changes import sent
from luml_app.resources.collection_words import words_of
from luml_app.resources.deletions import begin_deletion, confirmed
from luml_app.resources.searching import contains
from luml_app.schemas.collections import (
    Collection,
    CollectionCreate,
    CollectionDetails,
    CollectionSort,
    CollectionTypeFilter,
    CollectionUpdate,
)
from luml_app.schemas.deletions import Deletion
from luml_app.schemas.errors import Conflict
from luml_app.schemas.fields import Limit, Page, SortOrder

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ONE = _ORBIT + "/collections/{collection_id}"
Types = list[CollectionTypeFilter]


class Collections(Resource):
    """Named groups of artifacts inside an orbit."""

    @operation(f"POST {_ORBIT}/collections", needs="collection:create")
    def create(self, body: CollectionCreate) -> Collection:
        """Create a collection in an orbit."""
        values = {"name": body.name, "type": body.type, "description": body.description, "tags": body.tags}
        new = insert(t.collections).values(id=new_id(), orbit_id=self.scope.orbit_id, **values)
        row = self.db.execute(new.returning(t.collections)).one()
        self.scope.record("collection.create", row.id, after=values)
        return collection_of(row)

    @operation(f"GET {_ORBIT}/collections", needs="collection:list")
    def list(
        self,
        cursor: str | None = None,
        limit: Limit = 50,
        sort_by: CollectionSort = "created_at",
        order: SortOrder = "desc",
        search: str | None = None,
        types: Types | None = None,
    ) -> Page[Collection]:
        """The collections of an orbit; `search` looks into names, descriptions and tags."""
        c = t.collections
        here = (c.c.orbit_id == self.scope.orbit_id, c.c.deleting_since.is_(None))
        query = select(c).where(*here)
        if search:
            query = query.where(
                or_(contains(c.c.name, search), contains(c.c.description, search), contains(c.c.tags, search))
            )
        if types:
            query = query.where(or_(*(_admits(kind) for kind in types)))
        mark = ("collections", self.scope.orbit_id, sort_by, search, types)
        sort = beginning_of(c.c.description) if sort_by == "description" else c.c[sort_by]
        rows, following = fetch_page(
            self.db, query, sort=sort, key=c.c.id, order=order, limit=limit, cursor=cursor, mark=mark
        )
        return Page(items=[collection_of(row) for row in rows], cursor=following)

    @operation(f"GET {_ONE}", needs="collection:read")
    def get(self) -> CollectionDetails:
        """A collection with the tags and the searchable values that occur in it, at most 5,000 of each.

        What occurs in none of its artifacts any more may be among them for up to a day.
        """
        one = self.scope.row(t.collections)
        tags, values = words_of(self.db, one.id)
        return CollectionDetails(**_plain(one), artifacts_tags=tags, artifacts_extra_values=values)

    @operation(f"PATCH {_ONE}", needs="collection:update")
    def update(self, body: CollectionUpdate) -> Collection:
        """Change name, description or tags."""
        c, one = t.collections, self.scope.row(t.collections)
        before, changed = difference(one.columns, sent(body, c))
        if not changed:
            return collection_of(one)
        row = self.db.execute(
            update(c).where(c.c.id == one.id).values(**changed, updated_at=func.now()).returning(c)
        ).one()
        self.scope.record("collection.update", row.id, before=before, after=changed)
        return collection_of(row)

    @operation(f"DELETE {_ONE}", needs="collection:delete", status=204)
    def delete(self) -> None:
        """Delete an empty collection."""
        one = self.scope.row(t.collections)
        # Locked first: a create in the same moment holds a key-share lock on the row until it is done.
        total = select(t.collections.c.total_artifacts).where(t.collections.c.id == one.id)
        if count := self.db.scalar(total.with_for_update()):
            raise Conflict(f"The collection holds {count} artifact{'s' * (count > 1)}; move or delete them first.")
        self.db.execute(delete(t.collections).where(t.collections.c.id == one.id))
        self.scope.record("collection.delete", one.id, before={"name": one.name})

    @operation(f"DELETE {_ONE}/force", needs="collection:delete", status=202)
    def force_delete(self, confirm: str) -> Deletion:
        """Delete a collection with all its artifacts, taking them out of tracks and their deployments down.

        `confirm` is the collection's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        one = self.scope.row(t.collections)
        confirmed("collection", one, confirm)
        return begin_deletion(self.scope, "collection", one)


def _admits(kind: str) -> Any:
    """Collections that may hold artifacts of this type; ``mixed`` asks for those that hold more than one."""
    c = t.collections.c.type
    return (c == "mixed") | c.contains("_" if kind == "mixed" else kind, autoescape=True)


def collection_of(row: Any) -> Collection:
    """A collection from its row."""
    return Collection(**_plain(row))


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Collection.__struct_fields__}
