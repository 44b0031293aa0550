"""Queries that are compiled once and then run as they are.

What every request asks (who calls, and on what) is the same query with other values each time. SQLAlchemy describes
it; but to build it anew, to look it up and to wrap its rows takes longer than the database needs for the answer. So
its SQL is made when it is first wanted, and goes straight to psycopg.
"""

from __future__ import annotations

from collections import namedtuple
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, SelectBase
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, NoResultFound

_DIALECT: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_PLAIN = (str, int, float, UUID, datetime, type(None))


class Prepared:
    """A query of which only the values of its bind parameters change; they must be of types that psycopg knows (a JSON
    document is sent as its text).

    A list is one parameter (``column == func.any(bindparam(…))``): the number of elements must not change the SQL.
    With `plan_anew`, PostgreSQL plans it for the values of each time (see `core.db`); only its text is ready.
    """

    def __init__(self, query: SelectBase, *, plan_anew: bool = False) -> None:
        self._query = query
        self._prepare = not plan_anew

    def all(self, db: Connection, **values: Any) -> list[Any]:
        """The rows, as named tuples. Raises SQLAlchemy's errors, as its own execution would."""
        sql, fixed, make = self._compiled
        driver: Any = db.connection.driver_connection
        try:
            cursor = driver.cursor(row_factory=lambda _: make)
            rows: list[Any] = cursor.execute(sql, fixed | values, prepare=self._prepare).fetchall()
        except psycopg.Error as error:
            if driver.closed:
                # SQLAlchemy shall meet the lost connection itself, to forget all that were opened before.
                db.exec_driver_sql(sql, fixed | values)
            raise DBAPIError.instance(sql, values, error, psycopg.Error, dialect=_DIALECT) from error
        return rows

    def one_or_none(self, db: Connection, **values: Any) -> Any:
        """The row of a query that gives at most one."""
        rows = self.all(db, **values)
        return rows[0] if rows else None

    def one(self, db: Connection, **values: Any) -> Any:
        """The one row. Raises NoResultFound when it has been deleted meanwhile."""
        row = self.one_or_none(db, **values)
        if row is None:
            raise NoResultFound
        return row

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Any], Any]:
        """SQL, the values that never change, and what makes a row."""
        compiled = self._query.compile(dialect=_DIALECT)
        fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
        if "POSTCOMPILE" in str(compiled) or not all(isinstance(value, _PLAIN) for value in fixed.values()):
            raise ValueError(f"A value needs SQLAlchemy's help, so this cannot be prepared: {compiled}")
        names = [column.name for column in self._query.selected_columns]
        row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        return str(compiled), fixed, row._make
