"""Keyset paging: a page begins where the last one ended, whatever has been added or deleted meanwhile.

Rows are ordered by a value and then by id; missing values come last in both orders. A cursor carries the last row's
value and id and a mark of the query that it belongs to, so that it cannot be used with another sort or filter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from math import isinf
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, literal, or_, tuple_

from luml_app.schemas.errors import BadRequest
from luml_app.schemas.fields import SortOrder


class Cursor(msgspec.Struct):
    """The place after which a page begins; `mark` names the query."""

    mark: str
    value: Any
    id: UUID


_BEGINNING = 400


def beginning_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What to sort a column of long texts by: a cursor carries all of it, and has to fit into an address."""
    return func.left(column, _BEGINNING, type_=column.type)


def fetch_page(
    db: Connection,
    query: Select[Any],
    *,
    sort: ColumnElement[Any],
    key: ColumnElement[UUID],
    order: SortOrder,
    limit: int,
    cursor: str | None,
    mark: Sequence[Any],
) -> tuple[list[Any], str | None]:
    """One page of `query` and the cursor of the next (None: there is none).

    `sort` is the expression by which to sort, `key` the id that breaks ties, `mark` all that the cursor must agree on.
    Raises BadRequest for a cursor that is not one, or belongs to another sort, order or filter.
    """
    if cursor:
        query = query.where(_after(read_cursor(cursor, sort, order, mark), sort, key, order))
    query = query.add_columns(sort.label("_sort")).order_by(*_ordered(sort, key, order)).limit(limit + 1)
    rows = list(db.execute(query))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write_cursor(last._sort, last.id, order, mark)


def read_cursor(text: str, sort: ColumnElement[Any], order: SortOrder, mark: Sequence[Any]) -> Cursor:
    """The place that a cursor names. Raises BadRequest for one that is none, or belongs to another list."""
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadRequest("This cursor is not one that a list has given.") from error
    if cursor.mark != _sign(order, *mark):
        raise BadRequest("This cursor belongs to another sort, order or filter; ask for the first page again.")
    if cursor.value is not None:
        cursor.value = _of_type(sort, cursor.value)
    return cursor


def write_cursor(value: Any, key: UUID, order: SortOrder, mark: Sequence[Any]) -> str:
    """The cursor of the page that begins after the row with this value and id."""
    if isinstance(value, float) and isinf(value):
        value = str(value)  # JSON has no infinities
    cursor = Cursor(_sign(order, *mark), value, key)
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def beyond(cursor: Cursor, sort: ColumnElement[Any], key: ColumnElement[UUID], order: SortOrder) -> ColumnElement[bool]:
    """What comes after the cursor's place among rows whose `sort` is never missing: one step into an index."""
    here, there = tuple_(sort, key), tuple_(literal(cursor.value, sort.type), literal(cursor.id, key.type))
    return here > there if order == "asc" else here < there


def _after(cursor: Cursor, sort: ColumnElement[Any], key: ColumnElement[UUID], order: SortOrder) -> ColumnElement[bool]:
    if cursor.value is None:
        return and_(sort.is_(None), key > cursor.id if order == "asc" else key < cursor.id)
    further = beyond(cursor, sort, key, order)
    return further if _never_missing(sort, key) else or_(further, sort.is_(None))


def _ordered(sort: ColumnElement[Any], key: ColumnElement[UUID], order: SortOrder) -> list[Any]:
    """Both in one direction, so that an index of both can be walked either way; it cannot with NULLS LAST on top."""
    by, then = (sort.asc(), key.asc()) if order == "asc" else (sort.desc(), key.desc())
    return [by if _never_missing(sort, key) else by.nulls_last(), then]


def _never_missing(sort: ColumnElement[Any], key: ColumnElement[UUID]) -> bool:
    """Whether `sort` is a column that is never null of the very table whose rows are listed, so not of a joined one."""
    return isinstance(sort, Column) and not sort.nullable and sort.table is getattr(key, "table", None)


def _of_type(sort: ColumnElement[Any], value: Any) -> Any:
    """JSON knows no dates; the sort expression's own type says that this text is one."""
    try:
        found = msgspec.convert(value, sort.type.python_type, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest("This cursor is not one that a list has given.") from error
    if isinstance(found, str) and "\0" in found:
        raise BadRequest("This cursor is not one that a list has given.")
    return found


def _sign(*mark: Any) -> str:
    return hashlib.sha256(repr(mark).encode()).hexdigest()[:12]
