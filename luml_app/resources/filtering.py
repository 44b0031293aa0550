"""Filter expressions as SQL: the tree of `luml_app.schemas.filters` as a condition on `artifacts`.

Every value travels as a bound parameter. A comparison with something missing is NULL or false in SQL, never true, and
`Not` says "is not true" of its part, so that missing things behave as the expression's rules say.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Double, Text, and_, cast, collate, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, array

from luml_app.core import tables as t
from luml_app.resources.searching import contains
from luml_app.schemas.filters import (
    TEXT_COMPARED,
    Among,
    Both,
    Compare,
    Comparison,
    Contains,
    Either,
    Exists,
    Field,
    Filter,
    Not,
    Order,
    Value,
)

Condition = Any  # a SQL expression of type boolean
OrbitId = Any  # a UUID, or a column that holds one
_OPERATORS: dict[Order, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(tree: Filter, orbit_id: OrbitId) -> Condition:
    """The condition under which a row of `artifacts` fits."""
    below = partial(condition, orbit_id=orbit_id)
    match tree:
        case Both(parts):
            return and_(*map(below, parts))
        case Either(parts):
            return or_(*map(below, parts))
        case Not(part):
            return below(part).is_not(true())
        case _:
            return _comparison(tree, orbit_id)


def needs_number(tree: Filter, name: str) -> bool:
    """Whether only artifacts fit that have a number as this metric or parameter."""
    match tree:
        case Both(parts):
            return any(needs_number(part, name) for part in parts)
        case Compare(field, _, value):
            return field.name == name and isinstance(value, float)
        case _:
            return False


def has_tag(tag: Any, of: Any = t.artifacts.c) -> Condition:
    """Whether an artifact with these columns has this tag (a text, or a parameter)."""
    return of.tags.contains(cast(array([tag]), ARRAY(Text)))


def has_piece(piece: Any, columns: Iterable[Any]) -> Condition:
    """Whether one of these columns holds the piece (a text, or a parameter), in whatever case."""
    return or_(*(contains(column, piece) for column in columns))


def hints(tree: Filter, orbit_id: OrbitId) -> list[Condition]:
    """Conditions that follow from the tree, and that an index can answer: where little fits, they find it.

    Only for a plan that may use the index; to work the keys of a row out costs a hundred times a look at the row.
    """
    match tree:
        case Both(parts):
            return [hint for part in parts for hint in hints(part, orbit_id)]
        case Contains(Field(kind="tags"), tag):
            return [hint_of_tags([tag], orbit_id)]
        case Among(Field(kind="tags"), tags):
            return [hint_of_tags([str(tag) for tag in tags], orbit_id)]
        case Contains(Field(name="name" | "description"), piece):
            return hints_of_piece(piece, orbit_id)
        case _:
            return []


def hint_of_tags(tags: Sequence[Any], orbit_id: OrbitId) -> Condition:
    """What holds for artifacts with one of the tags, and for hardly any others."""
    return _SEARCH_KEYS.overlap(array([func.luml_tag_key(orbit_id, tag, type_=BigInteger) for tag in tags]))


def hints_of_piece(piece: str, orbit_id: OrbitId) -> list[Condition]:
    """What holds for artifacts in which the piece is found, if an index knows."""
    return [hint_of_piece(piece, orbit_id)] if is_on_index(piece) else []


def is_on_index(piece: str) -> bool:
    """Whether the index knows such pieces; those of less than three letters it does not."""
    return len(piece.lower()) >= 3


def hint_of_piece(piece: Any, orbit_id: OrbitId) -> Condition:
    """What holds for artifacts in which the piece, or the value of a parameter, is found."""
    return _SEARCH_KEYS.contains(func.luml_piece_keys(orbit_id, piece, type_=_KEYS))


_KEYS = ARRAY(BigInteger)
_SEARCH_KEYS: Any = func.luml_search_keys(
    *(t.artifacts.c[name] for name in ("orbit_id", "name", "description", "tags")), type_=_KEYS
)


def _comparison(one: Comparison, orbit_id: OrbitId) -> Condition:
    match one:
        case Compare(field, order, value):
            return _compared(field, order, value, orbit_id)
        case Among(Field(kind="metric" | "param") as field, values):
            return _value_where(field, lambda v: or_(*(_value_compared(v, "=", value) for value in values)), orbit_id)
        case Among(field, values):
            return or_(*(_compared(field, "=", value, orbit_id) for value in values))
        case Contains(field, piece):
            return _contains(field, piece, orbit_id)
        case Exists(field):
            return _exists(field, orbit_id)


def _compared(field: Field, order: Order, value: Value, orbit_id: OrbitId) -> Condition:
    match field.kind:
        case "metric" | "param":
            return _value_where(field, partial(_value_compared, order=order, value=value), orbit_id)
        case "tags":
            return has_tag(str(value))
        case "number":
            return _OPERATORS[order](cast(t.artifacts.c[field.name], Double), literal(value, Double))
        case "time":
            return _time_compared(t.artifacts.c[field.name], order, value)
        case _:
            return _column_where(field, lambda column: _OPERATORS[order](_plain(column, order), value))


def _contains(field: Field, piece: str, orbit_id: OrbitId) -> Condition:
    match field.kind:
        case "tags":
            return has_tag(piece)
        case "metric" | "param":
            return _value_where(field, lambda v: contains(v.c.text, piece), orbit_id)
        case _:
            return _column_where(field, lambda column: contains(column, piece))


def _exists(field: Field, orbit_id: OrbitId) -> Condition:
    match field.kind:
        case "tags":
            return func.cardinality(t.artifacts.c.tags) > 0
        case "metric" | "param":
            return _value_where(field, lambda _: true(), orbit_id)
        case _:
            return _column_where(field, lambda column: column.is_not(None))


def _column_where(field: Field, fits: Callable[[Any], Any]) -> Condition:
    """A condition on a column of the artifact, or on its collection's name."""
    if field.name != "collection_name":
        return fits(t.artifacts.c[field.name])
    c = t.collections
    return select(1).where(c.c.id == t.artifacts.c.collection_id, fits(c.c.name)).correlate(t.artifacts).exists()


def _value_where(field: Field, fits: Callable[[Any], Any], orbit_id: OrbitId) -> Condition:
    v = t.artifact_values.alias()  # of its own: the query around it may be sorted by another value
    mine = and_(v.c.artifact_id == t.artifacts.c.id, v.c.orbit_id == orbit_id, v.c.name == field.name)
    return select(1).where(mine, fits(v)).correlate(t.artifacts).exists()


def _value_compared(v: Any, order: Order, value: Value) -> Condition:
    if isinstance(value, bool):
        return v.c.text == str(value).lower()
    if isinstance(value, str):
        return _OPERATORS[order](_plain(v.c.text, order), value[:TEXT_COMPARED])
    return _OPERATORS[order](v.c.number, value)


def _plain(column: Any, order: Order) -> Any:
    """A text ordered by its characters' numbers, whatever language the database speaks."""
    return column if order == "=" or column.type.python_type is not str else collate(column, "C")


def _time_compared(column: Any, order: Order, value: Any) -> Condition:
    if isinstance(value, datetime):
        return _OPERATORS[order](column, value)
    start = _midnight(value)
    # The calendar's last day has no day after it; PostgreSQL's has, and nothing is made on the last microsecond of it.
    end = _midnight(value + timedelta(days=1)) if value < date.max else datetime.max.replace(tzinfo=UTC)
    within: dict[Order, Any] = {
        "=": (column >= start) & (column < end),
        "<": column < start,
        "<=": column < end,
        ">": column >= end,
        ">=": column >= start,
    }
    return within[order]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
