"""Keyset paging: a page begins where the last one ended, whatever has been added or deleted meanwhile.

Rows are ordered by a value and then by id; missing values come last in both orders. A cursor carries the last row's
value and id and a mark of the query that it belongs to, so that it cannot be used with another sort or filter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, literal, or_

from luml_app.schemas.errors import BadRequest
from luml_app.schemas.fields import SortOrder


class Cursor(msgspec.Struct):
    """The place after which a page begins; `mark` names the query."""

    mark: str
    value: Any
    id: UUID


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
    sign = _sign(order, *mark)
    if cursor:
        query = query.where(_after(_read(cursor, sign), sort, key, order))
    ascending = order == "asc"
    by = (sort.asc() if ascending else sort.desc()).nulls_last()
    query = query.add_columns(sort.label("_sort")).order_by(by, key.asc() if ascending else key.desc()).limit(limit + 1)
    rows = list(db.execute(query))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _write(Cursor(sign, last._sort, last.id))


def _after(cursor: Cursor, sort: ColumnElement[Any], key: ColumnElement[UUID], order: SortOrder) -> ColumnElement[bool]:
    beyond = key > cursor.id if order == "asc" else key < cursor.id
    if cursor.value is None:
        return and_(sort.is_(None), beyond)
    value = literal(_of_type(sort, cursor.value), sort.type)
    further = sort > value if order == "asc" else sort < value
    return or_(further, and_(sort == value, beyond), sort.is_(None))


def _of_type(sort: ColumnElement[Any], value: Any) -> Any:
    """JSON knows no dates; the sort expression's own type says that this text is one."""
    try:
        return msgspec.convert(value, sort.type.python_type, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest("This cursor is not one that a list has given.") from error


def _sign(*mark: Any) -> str:
    return hashlib.sha256(repr(mark).encode()).hexdigest()[:12]


def _write(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read(text: str, sign: str) -> Cursor:
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadRequest("This cursor is not one that a list has given.") from error
    if cursor.mark != sign:
        raise BadRequest("This cursor belongs to another sort, order or filter; ask for the first page again.")
    return cursor
