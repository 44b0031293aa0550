"""What in the database was made with secret keys, which key each row needs, and how it gets a newer one.

Encrypted columns are those of bytes: nothing else is kept as bytes here. They are encrypted anew by `reseal`. Hashes of
tokens cannot be made anew without the token; they get the newest key when their token is next used, or expire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, and_, func, or_, select, update

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.keys import ID_LENGTH, Keys, made_by
from luml_app.schemas.errors import ConfigurationError

_OTHER_HASHES = {"password_hash", "file_hash"}
"""Made without the secret keys."""
_BATCH = 200
UNKNOWN = "unknown"
"""Stands for the key of what was made before there were ids: any of the older ones may be needed for it."""


@dataclass(frozen=True)
class Need:
    """`rows` of a column need the key `key_id`. `sealed`: `reseal` gives them a newer one."""

    column: str
    key_id: str
    rows: int
    sealed: bool


def sealed_columns() -> list[Column[Any]]:
    """The columns that hold something encrypted."""
    return [c for table in t.metadata.sorted_tables for c in table.c if isinstance(c.type, LargeBinary)]


def hashed_columns() -> list[Column[Any]]:
    """The columns that hold hashes of tokens."""
    return [
        c
        for table in t.metadata.sorted_tables
        for c in table.c
        if (c.name == "hash" or c.name.endswith("_hash")) and c.name not in _OTHER_HASHES
    ]


def needs(db: Connection) -> list[Need]:
    """Which keys the rows need, by column; what has expired needs none."""
    found = []
    for column in (*sealed_columns(), *hashed_columns()):
        counted = Counter[str]()
        sealed = isinstance(column.type, LargeBinary)
        head = func.substring(column, 1, ID_LENGTH + 1).label("head")
        for row in db.execute(select(head, func.count().label("rows")).where(_alive(column)).group_by(head)):
            counted[made_by(row.head) or UNKNOWN] += row.rows
        found += [Need(str(column), key_id, rows, sealed) for key_id, rows in sorted(counted.items())]
    return [*found, *_needs_of_jobs(db)]


def reseal(database: Database, keys: Keys) -> Iterator[tuple[str, int]]:
    """Encrypt with the newest key what an older one has encrypted; gives column and number after each step.

    Each step is a transaction of its own: it may be stopped at any time and called again, while servers run.
    Raises ConfigurationError, which names the column, for what fits none of the keys.
    """
    for column in sealed_columns():
        while done := _reseal_some(database, keys, column):
            yield str(column), done


def _reseal_some(database: Database, keys: Keys, column: Column[Any]) -> int:
    (key,) = column.table.primary_key.columns
    newest = f"{keys.ids[0]}.".encode()
    old = select(key.label("key"), column.label("data")).where(
        column.is_not(None), func.substring(column, 1, ID_LENGTH + 1) != newest
    )
    with database.write() as db:
        rows = db.execute(old.order_by(key).limit(_BATCH).with_for_update()).all()
        for row in rows:
            try:
                data = keys.encrypt(keys.decrypt(row.data))
            except ConfigurationError as error:
                raise ConfigurationError(f"{column} of the row {row.key}: {error.message}") from error
            db.execute(update(column.table).where(key == row.key).values({column.name: data}))
    return len(rows)


def _alive(column: Column[Any]) -> Any:
    expires = column.table.c.get("expires_at")
    there = column.is_not(None)
    return there if expires is None else and_(there, or_(expires.is_(None), expires > func.now()))


def _needs_of_jobs(db: Connection) -> list[Need]:
    """Mails that wait to be sent are encrypted in the payload of their job; they are gone in a moment."""
    j = t.jobs
    head = func.left(j.c.payload["sealed"].astext, ID_LENGTH + 1)
    waiting = j.c.payload.has_key("sealed") & j.c.state.in_(["queued", "leased"])
    rows = db.execute(select(head.label("head"), func.count().label("rows")).where(waiting).group_by(head))
    return [Need("jobs.payload", made_by(row.head) or UNKNOWN, row.rows, sealed=False) for row in rows]
