"""All rows of a registry as they are in one moment, as pieces of text; and back into an empty database.

PostgreSQL's own COPY writes and reads them, so every type survives, and the memory that is needed does not grow with
the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import sql
from sqlalchemy import Connection, inspect, literal, select, text
from sqlalchemy.exc import DBAPIError

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.locks import BYTES
from luml_app.core.migrating import check_current, migrate_to
from luml_app.schemas.errors import Conflict, Unavailable

PIECE = 4 * 1024 * 1024
NOT_KEPT = ("sessions", "session_tokens", "satellite_logins")
"""Everybody signs in again after a restore: a copy of the database opens no session that somebody has. Logins of
satellites at the database are roles of the old server."""
_FORM = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL bytea_output = 'hex'"
_PATIENCE = "SET lock_timeout = '5min'"


class Shape(msgspec.Struct):
    """What a snapshot holds: the schema's revision, and the columns by table, in an order that can be filled."""

    revision: str
    columns: dict[str, list[str]]


@dataclass(frozen=True)
class KeptObject:
    """An object in the built-in store that the snapshot refers to; it may be missing unless it is `uploaded`."""

    artifact_id: UUID
    bucket: str
    key: str
    uploaded: bool


class Snapshot:
    """The registry as it is when `reading` opens it; what others write meanwhile is not in it."""

    def __init__(self, db: Connection, shape: Shape) -> None:
        self._db = db
        self.shape = shape

    def pieces(self, table: str) -> Iterator[bytes]:
        """The rows of a table in pieces of about 4 MiB, each of whole rows."""
        query = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table), _names(self.shape.columns[table]))
        gathered = bytearray()
        with _cursor(self._db) as cursor, cursor.copy(query) as copy:
            for row in copy:
                gathered += row
                if len(gathered) >= PIECE:
                    yield bytes(gathered)
                    gathered.clear()
        if gathered:
            yield bytes(gathered)

    def objects(self) -> list[KeptObject]:
        """The objects in the built-in store, in the order of their artifacts."""
        a, b = t.artifacts, t.buckets
        columns = (a.c.id, b.c.bucket_name, a.c.bucket_location, a.c.status)
        query = select(*columns).join(b, b.c.id == a.c.bucket_secret_id).where(b.c.builtin).order_by(a.c.id)
        return [
            KeptObject(row.id, row.bucket_name, row.bucket_location, row.status == "uploaded")
            for row in self._db.execute(query)
        ]


@contextmanager
def reading(database: Database) -> Iterator[Snapshot]:
    """A snapshot for the time of the block. Raises ConfigurationError unless the schema is the one of this code."""
    engine = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as db, db.begin():
        db.execute(text("SET TRANSACTION READ ONLY"))
        for setting in _FORM.split("; "):
            db.execute(text(setting))
        revision = check_current(db)
        yield Snapshot(db, Shape(revision, _columns(db)))


@contextmanager
def holding_bytes(database: Database) -> Iterator[None]:
    """See that the server deletes no bytes for the time of the block. Raises Unavailable when it cannot be had."""
    with database.read() as db:
        db.execute(text(_PATIENCE))
        try:
            db.execute(text("SELECT pg_advisory_lock(:key)"), {"key": BYTES})
        except DBAPIError as error:
            raise Unavailable("Objects are being deleted, or another backup looks at them; try again.") from error
        try:
            yield
        finally:
            db.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": BYTES})
            db.execute(text("RESET lock_timeout"))


def is_empty(database: Database) -> bool:
    """Whether there is nothing that a restore would destroy."""
    with database.read() as db:
        there = set(inspect(db).get_table_names())
        kept = [table for table in (t.users, t.organizations) if table.name in there]
        return not any(db.scalar(select(literal(1)).select_from(table).limit(1)) for table in kept)


@contextmanager
def filling(database: Database, shape: Shape) -> Iterator[Filling]:
    """Replace all that is in a database, in one transaction, at the end of which it has the schema of this code; after
    an error it is as it was.

    Raises ConfigurationError for a snapshot of a newer LUML, and Conflict while somebody uses the database.
    """
    with database.write() as db:
        _check_unused(db)
        _drop_all(db)
        migrate_to(db, shape.revision)
        _switch_triggers(db, shape, "DISABLE")  # what they would keep comes with the rows: not to be counted twice
        yield Filling(db, shape)
        _switch_triggers(db, shape, "ENABLE")
        migrate_to(db, "head")


class Filling:
    """Takes the pieces of a snapshot, table by table in the order of its shape."""

    def __init__(self, db: Connection, shape: Shape) -> None:
        self._db = db
        self._shape = shape

    def fill(self, table: str, pieces: Iterable[bytes]) -> None:
        """Fill one table."""
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(self._shape.columns[table]))
        with _cursor(self._db) as cursor, cursor.copy(query) as copy:
            for piece in pieces:
                copy.write(piece)


def _switch_triggers(db: Connection, shape: Shape, how: Literal["ENABLE", "DISABLE"]) -> None:
    """Those of our own; those of the foreign keys go on watching."""
    with _cursor(db) as cursor:
        for table in shape.columns:
            cursor.execute(sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(sql.Identifier(table), sql.SQL(how)))


def _columns(db: Connection) -> dict[str, list[str]]:
    """The columns that have values of their own: generated ones are generated again."""
    query = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) "
        "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
    )
    names = [table.name for table in t.metadata.sorted_tables if table.name not in NOT_KEPT]
    return {name: list(db.scalars(query, {"name": name})) for name in names}


def _check_unused(db: Connection) -> None:
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    if count := db.scalar(others):
        raise Conflict(f"{count} connections use the database: stop the servers first.")


def _drop_all(db: Connection) -> None:
    """Drop our tables and functions, and the logins of satellites; tables of others stay."""
    db.execute(_DROP_LOGINS)
    tables = [*t.metadata.tables, "alembic_version"]
    functions = list(db.scalars(_FUNCTIONS))
    with _cursor(db) as cursor:
        names = sql.SQL(", ").join(map(sql.Identifier, tables))
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(names))
    for function in functions:
        db.execute(text(f"DROP FUNCTION IF EXISTS {function} CASCADE"))
    db.execute(text("DROP SCHEMA IF EXISTS satellite_door CASCADE"))


_DROP_LOGINS = text("""
    DO $$ BEGIN
        IF to_regclass('public.satellite_logins') IS NOT NULL THEN DELETE FROM public.satellite_logins; END IF;
    END $$
""")
"""A trigger drops the role of each."""
_FUNCTIONS = text("""
    SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = current_user::regrole
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
""")
"""The functions in our schema but those of extensions: nothing tells which ones the migrations have made."""


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _cursor(db: Connection) -> Any:
    return db.connection.cursor()
