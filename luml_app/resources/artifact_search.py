"""Lists of artifacts: filters, sorts and pages that cost the same with a thousand artifacts and with a million.

How a page is found::

    near     the next thousand rows in the wanted order, straight from an index; those of them that fit
    full     if these were too few: all that fit, by whichever index the planner likes best
    missing  if that was not enough, either: what has no value to sort by, in the order of the ids

Where many rows fit, `near` is enough and cheap; where few fit, `full` has few to sort. So neither depends on how well
the planner guesses how many that will be. Without filters there is nothing to guess, and `full` is `near`.

All are parts of one statement, of which PostgreSQL runs those that are needed. It is planned for its values each time,
and gives ids only, so that there is little to plan; what a page shows of its artifacts is asked for by a statement that
is always the same (`artifact_rows`). Its text is made once for each `Shape` of what is asked for. Only with a filter
expression it is made each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self
from uuid import UUID

from sqlalchemy import (
    CTE,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from luml_app.core import tables as t
from luml_app.core.paging import Cursor, beginning_of, read_cursor, write_cursor
from luml_app.core.prepared import Prepared
from luml_app.resources.artifact_values import GROUPS
from luml_app.resources.filtering import (
    condition,
    has_piece,
    has_tag,
    hint_of_piece,
    hint_of_tags,
    hints,
    is_on_index,
    needs_number,
)
from luml_app.resources.searching import literally
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


def find_page(db: Any, wanted: Wanted) -> tuple[list[UUID], str | None, int | None]:
    """The ids of a page, the cursor of the next one, and the total if asked for.

    Raises Invalid for a filter or sort that is none, BadRequest for a cursor that is none.
    """
    tree = parse(wanted.filter) if wanted.filter else None
    sort = _sort(_checked_sort(wanted.sort_by), t.artifacts)
    cursor = read_cursor(wanted.cursor, sort.value, wanted.order, wanted.mark) if wanted.cursor else None
    shape, values = Shape.of(wanted, cursor), _values(wanted, cursor)
    if tree is None:
        rows = _prepared(shape).all(db, **values)
    else:
        numbers_only = needs_number(tree, values["sort_name"])
        statement = _Page(shape, tree, numbers_only=numbers_only).statement()
        rows = list(db.execute(statement, values, execution_options={"plan_anew": True}))
    total = rows[0].total if wanted.with_total else None
    rows = [row for row in rows if row.id is not None]
    ids = [row.id for row in rows[: wanted.limit]]
    if len(rows) <= wanted.limit:
        return ids, None, total
    last = rows[wanted.limit - 1]
    return ids, write_cursor(last.value, last.id, wanted.order, wanted.mark), total


@dataclass(frozen=True)
class Shape:
    """What decides how the statement reads; all else of what is asked for are values of its parameters.

    `lists` are the filters by lists of values, `pieces` says of each piece whether it is on the index, `after` in which
    part of the order the page begins: None at the beginning, else among those that have a value to sort by or not.
    """

    field: str | None
    order: SortOrder
    lists: tuple[str, ...]
    has_type: bool
    tags: int
    pieces: tuple[bool, ...]
    after: Literal["value", "missing"] | None
    with_total: bool

    @classmethod
    def of(cls, wanted: Wanted, cursor: Cursor | None) -> Self:
        """The shape of what is wanted."""
        return cls(
            field=wanted.sort_by if wanted.sort_by in FIELDS else None,
            order=wanted.order,
            lists=tuple(name for name in _LISTS if getattr(wanted, name)),
            has_type=bool(wanted.type),
            tags=len(_checked(wanted.tags)),
            pieces=tuple(is_on_index(piece) for piece in wanted.pieces),
            after=None if cursor is None else "missing" if cursor.value is None else "value",
            with_total=wanted.with_total,
        )


@lru_cache(maxsize=512)
def _prepared(shape: Shape) -> Prepared:
    return Prepared(_Page(shape).statement(), plan_anew=True)


def _values(wanted: Wanted, cursor: Cursor | None) -> dict[str, Any]:
    """The values of the parameters."""
    values: dict[str, Any] = {"orbit_id": wanted.orbit_id, "count": wanted.limit + 1}
    values |= {name: list(found) for name in _LISTS if (found := getattr(wanted, name))}
    values |= {f"tag_{number}": tag for number, tag in enumerate(wanted.tags or [])}
    for number, piece in enumerate(wanted.pieces):
        values |= {f"piece_{number}": literally(piece), f"letters_{number}": piece}
    if wanted.type:
        values["type"] = wanted.type
    if cursor is not None:
        values |= {"after_value": cursor.value, "after_id": cursor.id}
    return {**values, "sort_name": _number_name(wanted.sort_by)}


class _Page:
    """The statements of one page."""

    def __init__(self, shape: Shape, tree: Filter | None = None, *, numbers_only: bool = False) -> None:
        self.shape = shape
        self.sort, self.walk = _sort(shape.field, t.artifacts), _sort(shape.field, _WALKED)
        self.tree = tree
        self.fits = _conditions(shape, tree, t.artifacts.c)
        self.hints = [*_hints(shape, tree), _SHOWN]
        if numbers_only:
            self.sort = replace(self.sort, missing=None)

    def statement(self) -> Select[Any]:
        """The page: `id` and the `value` that it is sorted by, and `total` beside them if it is wanted."""
        parts = list(self._parts())
        page = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery("page")
        if self.shape.with_total:
            return self._beside_total(page)
        by, then = self._ordered(page.c.value, page.c.id)
        return select(page).order_by(by.nulls_last(), then)

    def _beside_total(self, page: Any) -> Select[Any]:
        """The total in every row, and in one that is otherwise empty when the page is."""
        a = t.artifacts
        here = a.c.orbit_id == _ORBIT
        total = (
            select(func.count().label("total")).select_from(a).where(here, *self.fits, *self.hints).subquery("counted")
        )
        by, then = self._ordered(page.c.value, page.c.id)
        query = select(total.c.total, page).select_from(total.outerjoin(page, true()))
        return query.order_by(by.nulls_last(), then)

    @property
    def _has_values_left(self) -> bool:
        """Whether the page begins among the rows that have a value to sort by."""
        return self.shape.after != "missing"

    def _parts(self) -> Iterator[Select[Any]]:
        """What the page is put together from; of these, the later ones only when the earlier ones were not enough."""
        too_few: list[Any] = []
        if self.fits and self._has_values_left and not self.shape.with_total:
            near = self._near().cte("near")
            yield select(near).where(_count(near) >= _COUNT)
            too_few.append(_count(near) < _COUNT)
        if self._has_values_left:
            full = self._full().where(*too_few).cte("full_page")
            yield select(full)
            too_few.append(_count(full) < _COUNT)
        if self.sort.missing is not None:
            yield select(self._missing().where(*too_few).cte("missing"))

    def _near(self) -> Select[Any]:
        if self.tree is None and self.shape.field is not None:
            return self._near_by_itself()
        step = self._from_index(self.walk).limit(NEAR).subquery("step")
        a = t.artifacts
        query = select(step.c.id, step.c.value).join(a, a.c.id == step.c.id).where(*self.fits, _SHOWN)
        return query.order_by(*self._ordered(step.c.value, step.c.id)).limit(_COUNT)

    def _near_by_itself(self) -> Select[Any]:
        """The same where all that is asked for stands in the rows of the walk: no row is looked up once more."""
        step = self._from_index(self.walk).add_columns(*(_WALKED.c[name] for name in _ASKED)).limit(NEAR)
        near = step.subquery("step")
        query = select(near.c.id, near.c.value).where(*_conditions(self.shape, None, near.c), _is_shown(near.c))
        return query.order_by(*self._ordered(near.c.value, near.c.id)).limit(_COUNT)

    def _full(self) -> Select[Any]:
        query, a = self._from_index(self.sort), t.artifacts
        if self.sort.rows is not a:
            query = query.join(a, a.c.id == self.sort.key)
        return query.where(*self.fits, *self.hints).limit(_COUNT)

    def _from_index(self, sort: Sort) -> Select[Any]:
        query = select(sort.key.label("id"), sort.value.label("value")).select_from(sort.rows).where(*sort.where)
        if self.shape.after is not None:
            here, there = tuple_(sort.value, sort.key), tuple_(bindparam("after_value", type_=sort.value.type), _AFTER)
            query = query.where(here > there if self.shape.order == "asc" else here < there)
        return query.order_by(*self._ordered(sort.value, sort.key))

    def _missing(self) -> Select[Any]:
        a = t.artifacts
        query = select(a.c.id, cast(null(), self.sort.value.type).label("value"))
        query = query.where(a.c.orbit_id == _ORBIT, self.sort.missing, *self.fits, *self.hints)
        ascending = self.shape.order == "asc"
        if self.shape.after == "missing":
            query = query.where(a.c.id > _AFTER if ascending else a.c.id < _AFTER)
        return query.order_by(a.c.id.asc() if ascending else a.c.id.desc()).limit(_COUNT)

    def _ordered(self, value: Any, key: Any) -> tuple[Any, Any]:
        """Both in one direction, as an index of both can be walked."""
        return (value.asc(), key.asc()) if self.shape.order == "asc" else (value.desc(), key.desc())


def _count(rows: CTE) -> Any:
    return select(func.count()).select_from(rows).correlate(None).scalar_subquery()


@dataclass(frozen=True)
class Sort:
    """An order that an index holds: `value`, then `key`, of those `rows` that are `where`.

    `missing` is the condition of the artifacts that have no value to sort by; None when all wanted ones have one.
    """

    rows: FromClause
    value: Any
    key: Any
    where: tuple[Any, ...]
    missing: Any = None


def _checked_sort(name: str) -> str | None:
    """The field to sort by, or None for a metric or parameter. Raises Invalid."""
    if name in FIELDS:
        return name
    if not 1 <= len(name) <= MAX_NAME or "\0" in name:
        raise Invalid.field("sort_by", "Give the name of a field or of a metric.", where="query")
    return None


def _number_name(name: str) -> str:
    """The name of a metric or parameter as in a filter."""
    group, dot, _ = name.partition(".")
    return name if name in FIELDS or (dot and group in GROUPS) else f"metrics.{name}"


def _sort(field: str | None, artifacts: Any) -> Sort:
    """The order by a field of these artifacts, or by the number of the name that is a parameter."""
    if field is None:
        return _by_number()
    column, here = artifacts.c[field], artifacts.c.orbit_id == _ORBIT
    if not column.nullable:
        return Sort(artifacts, column, artifacts.c.id, (here,))
    value = beginning_of(column) if field == "description" else column
    return Sort(artifacts, value, artifacts.c.id, (here, column.is_not(None)), column.is_(None))


def _by_number() -> Sort:
    v, name = t.artifact_values, bindparam("sort_name", type_=Text)
    where = (v.c.orbit_id == _ORBIT, v.c.name == name, v.c.number.is_not(None))
    one = v.alias("one")
    has = select(1).where(one.c.artifact_id == t.artifacts.c.id, one.c.name == name, one.c.number.is_not(None))
    return Sort(v, v.c.number, v.c.artifact_id, where, ~has.exists())


def _conditions(shape: Shape, tree: Filter | None, of: Any) -> list[Any]:
    """What a row with these columns `of` an artifact must fulfil."""
    found: list[Any] = [_among(name, of) for name in shape.lists]
    found += [of.type == bindparam("type", type_=Text)] if shape.has_type else []
    found += [has_tag(_text("tag", number), of) for number in range(shape.tags)]
    found += [
        has_piece(_text("piece", number), [of[name] for name in _SEARCHED]) for number in range(len(shape.pieces))
    ]
    return found + ([condition(tree, _ORBIT)] if tree is not None else [])


def _among(name: str, of: Any) -> Any:
    """Whether one of the values of a list is there, or, for tracks, none of them."""
    if name in _COLUMNS:
        return of[_COLUMNS[name]] == func.any(bindparam(name, type_=ARRAY(of[_COLUMNS[name]].type)))
    e = t.track_entries
    listed = e.c.track_id == func.any(bindparam(name, type_=ARRAY(Uuid)))
    return ~select(1).select_from(e).where(e.c.artifact_id == of.id, listed).exists()


def _text(name: str, number: int) -> Any:
    return bindparam(f"{name}_{number}", type_=Text)


def _checked(tags: list[str] | None) -> list[str]:
    if tags and len(tags) > MAX_WORDS:
        raise Invalid.field("tags", f"These are {len(tags)} tags; give at most {MAX_WORDS}.", where="query")
    return tags or []


def _hints(shape: Shape, tree: Filter | None) -> list[Any]:
    """What follows from that, and is on an index."""
    found = [hint_of_tags([_text("tag", number)], _ORBIT) for number in range(shape.tags)]
    known = [number for number, on_index in enumerate(shape.pieces) if on_index]
    found += [hint_of_piece(_text("letters", number), _ORBIT) for number in known]
    return found + (hints(tree, _ORBIT) if tree is not None else [])


def _is_shown(of: Any) -> Any:
    """Not in a collection that is being deleted: those are few, so they are read once instead of looked at by row."""
    c = t.collections
    hidden = select(c.c.id).where(c.c.orbit_id == _ORBIT, c.c.deleting_since.is_not(None))
    return of.collection_id.not_in(hidden)


_ORBIT: Any = bindparam("orbit_id", type_=Uuid)
_COUNT: Any = bindparam("count", type_=Integer)
_AFTER: Any = bindparam("after_id", type_=Uuid)
_SHOWN = _is_shown(t.artifacts.c)
_COLUMNS = {"types": "type", "status": "status", "collection_ids": "collection_id"}
_LISTS = (*_COLUMNS, "excluded_tracks")
_ASKED = (*_COLUMNS.values(), *_SEARCHED)
