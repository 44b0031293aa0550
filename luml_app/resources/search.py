"""Search over all orbits of an organization that the caller may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, Text, Uuid, and_, cast, literal, null, or_, select, union_all

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import Cursor, beyond, read_cursor, write_cursor
from luml_app.core.paths import in_living_collection
from luml_app.resources.artifact_search import words
from luml_app.resources.filtering import condition, hints, hints_of_piece
from luml_app.resources.searching import contains
from luml_app.schemas.errors import Invalid
from luml_app.schemas.fields import Limit, Page
from luml_app.schemas.filters import Filter, parse
from luml_app.schemas.search import Found, SearchKind

Kinds = list[SearchKind]
_TABLES: dict[SearchKind, Table] = {
    "artifact": t.artifacts,
    "collection": t.collections,
    "track": t.tracks,
    "deployment": t.deployments,
    "satellite": t.satellites,
}
_SEARCHED = ("name", "description", "tags")


class Search(Resource):
    """Everything in an organization, by name, description and tags."""

    @operation("GET /v1/organizations/{organization_id}/search", needs="orbit:list")
    def list(
        self,
        text: str | None = None,
        kinds: Kinds | None = None,
        filter: str | None = None,
        limit: Limit = 50,
        cursor: str | None = None,
    ) -> Page[Found]:
        """What is in the orbits that you may see, newest first.

        Each word of `text` must occur in name, description or tags. With a `filter` expression only artifacts are
        found: see `artifacts.list`.
        """
        if filter is not None and kinds and "artifact" not in kinds:
            raise Invalid.field(
                "kinds", "A filter is about artifacts; leave kinds out, or add artifact.", where="query"
            )
        chosen: Kinds = ["artifact"] if filter is not None else kinds or [*_TABLES]
        asked = _Asked(words(text), parse(filter) if filter is not None else None, limit)
        mark = ("search", self.scope.organization_id, text, sorted(chosen), filter)
        if cursor:
            asked.cursor = read_cursor(cursor, t.artifacts.c.created_at, "desc", mark)
        rows = self.db.execute(self._statement(asked, chosen), execution_options={"plan_anew": True}).all()
        items = [Found(**row._mapping) for row in rows[:limit]]
        following = write_cursor(items[-1].created_at, items[-1].id, "desc", mark) if len(rows) > limit else None
        return Page(items=items, cursor=following)

    def _statement(self, asked: _Asked, kinds: Any) -> Select[Any]:
        visible = self._visible_orbits().cte("visible")
        parts = [asked.part(kind, visible).subquery() for kind in dict.fromkeys(kinds)]
        found = union_all(*(select(part) for part in parts)).subquery("found")
        query = select(found, visible.c.name.label("orbit_name")).join(visible, visible.c.id == found.c.orbit_id)
        return query.order_by(found.c.created_at.desc(), found.c.id.desc()).limit(asked.limit + 1)

    def _visible_orbits(self) -> Select[Any]:
        o, m = t.orbits, t.orbit_members
        query = select(o.c.id, o.c.name).where(
            o.c.organization_id == self.scope.organization_id, o.c.deleting_since.is_(None)
        )
        if self.scope.organization_role == "member":
            mine = and_(m.c.orbit_id == o.c.id, m.c.user_id == self.scope.user_id)
            query = query.where(select(1).where(mine).correlate(o).exists())
        return query


@dataclass
class _Asked:
    """What is looked for in each table."""

    pieces: list[str]
    tree: Filter | None
    limit: int
    cursor: Cursor | None = None

    def part(self, kind: SearchKind, visible: Any) -> Select[Any]:
        """The newest objects of one kind: of each orbit as many as a page has, found by that orbit's own indexes."""
        table = _TABLES[kind]
        query = self._newest(table, visible.c.id).where(table.c.orbit_id == visible.c.id)
        inside = query.correlate(visible).lateral(f"{kind}_found")
        return select(literal(kind, Text).label("kind"), inside).select_from(visible.join(inside, literal(True)))

    def _newest(self, table: Table, orbit_id: Any) -> Select[Any]:
        query = select(*(_column(table, name) for name in _COLUMNS)).where(*self._conditions(table, orbit_id))
        if self.cursor is not None:
            query = query.where(beyond(self.cursor, table.c.created_at, table.c.id, "desc"))
        return query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(self.limit + 1)

    def _conditions(self, table: Table, orbit_id: Any) -> list[Any]:
        searched = [table.c[name] for name in _SEARCHED if name in table.c]
        found = [or_(*(contains(column, piece) for column in searched)) for piece in self.pieces]
        if table is t.deployments:
            found.append(table.c.status != "gone")
        if table is t.collections:
            found.append(table.c.deleting_since.is_(None))
        if table is t.artifacts:
            found.append(in_living_collection())
            found += [hint for piece in self.pieces for hint in hints_of_piece(piece, orbit_id)]
            found += (
                [condition(self.tree, table.c.orbit_id), *hints(self.tree, orbit_id)] if self.tree is not None else []
            )
        return found


_COLUMNS = ("id", "name", "description", "type", "status", "orbit_id", "collection_id", "created_at")
_TYPES_OF = {"id": Uuid, "collection_id": Uuid}


def _column(table: Table, name: str) -> Any:
    """The column of this name, or a null in its place."""
    own = "artifact_type" if name == "type" and table is t.tracks else name
    if own in table.c:
        return table.c[own].label(name)
    return cast(null(), _TYPES_OF.get(name, Text)).label(name)
