"""Lists of artifacts: filters, sorts and pages that cost the same with a thousand artifacts and with a million.

How a page is found::

    near     the next thousand rows in the wanted order, straight from an index; those of them that fit
    full     if these were too few, in a second statement: all that fit, by whichever index the planner likes best
    missing  in the same one, if that was not enough: what has no value to sort by, in the order of the ids

Where many rows fit, `near` is enough and cheap; where few fit, `full` has few to sort. So neither depends on how well
the planner guesses how many that will be. Without filters there is nothing to guess, and `full` is `near`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, FromClause, Select, cast, func, null, select, true, union_all

from luml_app.core import tables as t
from luml_app.core.paging import Cursor, beginning_of, beyond, read_cursor, write_cursor
from luml_app.resources.artifact_values import GROUPS
from luml_app.resources.filtering import (
    condition,
    has_piece,
    has_tag,
    hint_of_tags,
    hints,
    hints_of_piece,
    needs_number,
)
from luml_app.schemas.errors import Invalid
from luml_app.schemas.fields import SortOrder
from luml_app.schemas.filters import MAX_NAME, Filter, parse

FIELDS = ("created_at", "name", "description", "size", "type", "status", "file_name", "updated_at")
NEAR = 1000
MAX_WORDS = 20
_SEARCHED = ("name", "description", "tags")
_WALKED = t.artifacts.alias("walked")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for: filters that all must hold, order and place."""

    orbit_id: UUID
    types: list[Any] | None = None
    type: Any | None = None
    status: list[Any] | None = None
    tags: list[str] | None = None
    collection_ids: list[UUID] | None = None
    excluded_tracks: list[UUID] | None = None
    search: str | None = None
    text: str | None = None
    filter: str | None = None
    sort_by: str = "created_at"
    order: SortOrder = "desc"
    limit: int = 50
    cursor: str | None = None
    with_total: bool = False

    @property
    def pieces(self) -> list[str]:
        """Pieces of text, each of which must be found in name, description or tags."""
        return [*([self.search] if self.search else []), *words(self.text)]

    @property
    def mark(self) -> tuple[Any, ...]:
        """What a cursor belongs to."""
        lists = (self.types, self.status, self.tags, self.collection_ids, self.excluded_tracks)
        return ("artifacts", self.orbit_id, self.sort_by, self.type, *lists, self.search, self.text, self.filter)


def words(text: str | None) -> list[str]:
    """The words of a text. Raises Invalid for more than a search takes."""
    found = (text or "").split()
    if len(found) > MAX_WORDS:
        raise Invalid.field("text", f"These are {len(found)} words; give at most {MAX_WORDS}.", where="query")
    return found


def find_page(db: Any, wanted: Wanted, columns: Select[Any]) -> tuple[list[Any], str | None, int | None]:
    """The rows of a page with these `columns` of artifacts, the cursor of the next one, and the total if asked for.

    Raises Invalid for a filter or sort that is none, BadRequest for a cursor that is none.
    """
    page = _Page(wanted)
    rows = _run(db, page.near(columns)) if page.may_be_near else []
    if len(rows) <= wanted.limit:
        rows = _run(db, page.statement(columns))
    total = rows[0].total if wanted.with_total else None
    rows = [row for row in rows if row.id is not None]
    if len(rows) <= wanted.limit:
        return rows, None, total
    last = rows[wanted.limit - 1]
    return rows[: wanted.limit], write_cursor(last.sorted_by, last.id, wanted.order, wanted.mark), total


def _run(db: Any, statement: Select[Any]) -> list[Any]:
    return list(db.execute(statement, execution_options={"plan_anew": True}))


class _Page:
    """The statements of one page."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.count = wanted.limit + 1
        self.sort, self.walk = _sort(wanted.sort_by, wanted.orbit_id)
        tree = parse(wanted.filter) if wanted.filter else None
        self.fits = _conditions(wanted, tree)
        self.shown = _in_shown_collections(wanted.orbit_id)
        self.hints = [*_hints(wanted, tree), self.shown]
        if tree is not None and needs_number(tree, self.sort.name):
            self.sort = replace(self.sort, missing=None)
        self.cursor: Cursor | None = None
        if wanted.cursor:
            self.cursor = read_cursor(wanted.cursor, self.sort.value, wanted.order, wanted.mark)

    @property
    def may_be_near(self) -> bool:
        """Whether a look at what is near may save the search through all."""
        return bool(self.fits) and self._has_values_left and not self.wanted.with_total

    def near(self, columns: Select[Any]) -> Select[Any]:
        """What fits among the next rows in the wanted order, with these columns of artifacts."""
        return self._with_columns(self._near().cte("near"), columns)

    def statement(self, columns: Select[Any]) -> Select[Any]:
        """The page with these columns of artifacts."""
        parts = self._parts()
        page = parts[0] if len(parts) == 1 else union_all(*map(select, parts)).cte("page")
        if self.wanted.with_total:
            return self._beside_total(self._with_columns(page, columns).order_by(None).subquery("listed"))
        return self._with_columns(page, columns)

    def _with_columns(self, page: Any, columns: Select[Any]) -> Select[Any]:
        found = columns.add_columns(page.c.value.label("sorted_by")).join(page, page.c.id == t.artifacts.c.id)
        by, then = self._ordered(page.c.value, page.c.id)
        return found.order_by(by.nulls_last(), then)

    def _beside_total(self, found: Any) -> Select[Any]:
        """The total in every row, and in one that is otherwise empty when the page is."""
        a = t.artifacts
        here = a.c.orbit_id == self.wanted.orbit_id
        total = (
            select(func.count().label("total")).select_from(a).where(here, *self.fits, *self.hints).subquery("counted")
        )
        by, then = self._ordered(found.c.sorted_by, found.c.id)
        query = select(total.c.total, found).select_from(total.outerjoin(found, true()))
        return query.order_by(by.nulls_last(), then)

    @property
    def _has_values_left(self) -> bool:
        """Whether the page begins among the rows that have a value to sort by."""
        return self.cursor is None or self.cursor.value is not None

    def _parts(self) -> list[CTE]:
        """What the page is put together from; what has no value to sort by only when the others were not enough."""
        full = [self._full().cte("full_page")] if self._has_values_left else []
        if self.sort.missing is None:
            return full
        missing = self._missing()
        if full:
            found = select(func.count()).select_from(full[0]).correlate(None).scalar_subquery()
            missing = missing.where(found < self.count)
        return [*full, missing.cte("missing")]

    def _near(self) -> Select[Any]:
        step = self._from_index(self.walk).limit(NEAR).subquery("step")
        a = t.artifacts
        query = select(step.c.id, step.c.value).join(a, a.c.id == step.c.id).where(*self.fits, self.shown)
        return query.order_by(*self._ordered(step.c.value, step.c.id)).limit(self.count)

    def _full(self) -> Select[Any]:
        query, a = self._from_index(self.sort), t.artifacts
        if self.sort.rows is not a:
            query = query.join(a, a.c.id == self.sort.key)
        return query.where(*self.fits, *self.hints).limit(self.count)

    def _from_index(self, sort: Sort) -> Select[Any]:
        query = select(sort.key.label("id"), sort.value.label("value")).select_from(sort.rows).where(*sort.where)
        if self.cursor is not None:
            query = query.where(beyond(self.cursor, sort.value, sort.key, self.wanted.order))
        return query.order_by(*self._ordered(sort.value, sort.key))

    def _missing(self) -> Select[Any]:
        a = t.artifacts
        query = select(a.c.id, cast(null(), self.sort.value.type).label("value"))
        query = query.where(a.c.orbit_id == self.wanted.orbit_id, self.sort.missing, *self.fits, *self.hints)
        ascending = self.wanted.order == "asc"
        if self.cursor is not None and self.cursor.value is None:
            query = query.where(a.c.id > self.cursor.id if ascending else a.c.id < self.cursor.id)
        return query.order_by(a.c.id.asc() if ascending else a.c.id.desc()).limit(self.count)

    def _ordered(self, value: Any, key: Any) -> tuple[Any, Any]:
        """Both in one direction, as an index of both can be walked."""
        return (value.asc(), key.asc()) if self.wanted.order == "asc" else (value.desc(), key.desc())


@dataclass(frozen=True)
class Sort:
    """An order that an index holds: `value`, then `key`, of those `rows` that are `where`.

    `missing` is the condition of the artifacts that have no value to sort by; None when all that are wanted have one.
    `name` is that of a field, or of a metric or parameter as in a filter.
    """

    name: str
    rows: FromClause
    value: Any
    key: Any
    where: tuple[Any, ...]
    missing: Any = None


def _sort(name: str, orbit_id: UUID) -> tuple[Sort, Sort]:
    """The order, and the same once more for a walk beside the table of artifacts. Raises Invalid."""
    if name in FIELDS:
        return _by_field(name, orbit_id, t.artifacts), _by_field(name, orbit_id, _WALKED)
    if not 1 <= len(name) <= MAX_NAME or "\0" in name:
        raise Invalid.field("sort_by", "Give the name of a field or of a metric.", where="query")
    group, dot, _ = name.partition(".")
    sort = _by_number(name if dot and group in GROUPS else f"metrics.{name}", orbit_id)
    return sort, sort


def _by_field(name: str, orbit_id: UUID, artifacts: Any) -> Sort:
    column, here = artifacts.c[name], artifacts.c.orbit_id == orbit_id
    if not column.nullable:
        return Sort(name, artifacts, column, artifacts.c.id, (here,))
    value = beginning_of(column) if name == "description" else column
    return Sort(name, artifacts, value, artifacts.c.id, (here, column.is_not(None)), column.is_(None))


def _by_number(name: str, orbit_id: UUID) -> Sort:
    v = t.artifact_values
    where = (v.c.orbit_id == orbit_id, v.c.name == name, v.c.number.is_not(None))
    one = v.alias("one")
    has = select(1).where(one.c.artifact_id == t.artifacts.c.id, one.c.name == name, one.c.number.is_not(None))
    return Sort(name, v, v.c.number, v.c.artifact_id, where, ~has.exists())


def _conditions(wanted: Wanted, tree: Filter | None) -> list[Any]:
    """What a row must fulfil."""
    a = t.artifacts
    found: list[Any] = [a.c[name].in_(values) for name, values in _among(wanted).items() if values]
    found += [a.c.type == wanted.type] if wanted.type else []
    found += [has_tag(tag) for tag in _checked(wanted.tags)]
    found += [has_piece(piece, *_SEARCHED) for piece in wanted.pieces]
    if wanted.excluded_tracks:
        e = t.track_entries
        found.append(~select(1).where(e.c.artifact_id == a.c.id, e.c.track_id.in_(wanted.excluded_tracks)).exists())
    if tree is not None:
        found.append(condition(tree, wanted.orbit_id))
    return found


def _checked(tags: list[str] | None) -> list[str]:
    if tags and len(tags) > MAX_WORDS:
        raise Invalid.field("tags", f"These are {len(tags)} tags; give at most {MAX_WORDS}.", where="query")
    return tags or []


def _in_shown_collections(orbit_id: UUID) -> Any:
    """Not in a collection that is being deleted: those are few, so they are read once instead of looked at by row."""
    c = t.collections
    hidden = select(c.c.id).where(c.c.orbit_id == orbit_id, c.c.deleting_since.is_not(None))
    return t.artifacts.c.collection_id.not_in(hidden)


def _hints(wanted: Wanted, tree: Filter | None) -> list[Any]:
    """What follows from that, and is on an index."""
    found = [hint_of_tags([tag], wanted.orbit_id) for tag in wanted.tags or []]
    found += [hint for piece in wanted.pieces for hint in hints_of_piece(piece, wanted.orbit_id)]
    return found + (hints(tree, wanted.orbit_id) if tree is not None else [])


def _among(wanted: Wanted) -> dict[str, Any]:
    return {"type": wanted.types, "status": wanted.status, "collection_id": wanted.collection_ids}
