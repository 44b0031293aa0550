"""Queries that go past SQLAlchemy give the same rows and fail in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Integer, bindparam, insert, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, NoResultFound

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.core.prepared import Prepared
from luml_app.schemas.errors import Unavailable

SATELLITES = Prepared(select(t.satellites).where(t.satellites.c.id == bindparam("satellite_id")))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=2)
    yield database
    database.close()


def test_rows_are_those_of_sqlalchemy(database: Database) -> None:
    row_id = new_id()
    with database.write() as db:
        orbit_id = db.scalars(select(t.orbits.c.id)).first()
        values = {"id": row_id, "orbit_id": orbit_id, "key_hash": "x", "capabilities": {"deploy": [1, {"a": None}]}}
        db.execute(insert(t.satellites).values(values))
        inside = SATELLITES.one(db, satellite_id=row_id)
        outside = db.execute(select(t.satellites).where(t.satellites.c.id == row_id)).one()
        assert inside._asdict() == dict(outside._mapping)
    with database.read() as db:
        assert SATELLITES.one(db, satellite_id=row_id) == inside
        assert SATELLITES.one_or_none(db, satellite_id=uuid4()) is None
        with pytest.raises(NoResultFound):
            SATELLITES.one(db, satellite_id=uuid4())


def test_a_parameter_must_be_given(database: Database) -> None:
    with database.read() as db, pytest.raises(DBAPIError, match="satellite_id"):
        SATELLITES.all(db)


def test_an_error_of_the_database_is_one_of_sqlalchemy(database: Database) -> None:
    divided = Prepared(select((literal(1) / bindparam("by", type_=Integer)).label("quotient")))
    with database.read() as db, pytest.raises(DBAPIError, match="division by zero") as caught:
        divided.all(db, by=0)
    assert not caught.value.connection_invalidated


def test_after_a_cut_one_request_at_most_meets_a_dead_connection(database: Database) -> None:
    with database.read() as one, database.read() as two:
        SATELLITES.all(one, satellite_id=uuid4())
        SATELLITES.all(two, satellite_id=uuid4())
    other = Database(database.url, pool_size=1)
    with other.read() as db:
        there = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        for pid in db.scalars(text(there)).all():
            db.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.close()
    failed = 0
    for _ in range(4):
        try:
            with database.read() as db:
                SATELLITES.all(db, satellite_id=uuid4())
        except Unavailable as error:
            failed += 1
            assert error.retry_after == 2
    assert failed <= 1


@pytest.mark.parametrize(
    "query",
    [
        select(literal({"a": 1}, JSONB)),
        select(t.users.c.id).where(t.users.c.email.in_(["a", "b"])),
        select(t.users.c.id).where(t.users.c.email.in_(bindparam("emails", expanding=True))),
    ],
)
def test_what_needs_sqlalchemy_for_its_values_is_refused(query: object, database: Database) -> None:
    with database.read() as db, pytest.raises(ValueError, match="cannot be prepared"):
        Prepared(query).all(db, emails=["a"])  # type: ignore[arg-type]
