"""The door to PostgreSQL when PostgreSQL is not what it should be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError

from luml_app.core.db import CHANNEL, Database, Listener
from luml_app.core.errors import translated
from luml_app.schemas.errors import Unavailable
from luml_app.web.house import House
from tests.serving import until


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url, pool_size=2)
    yield database
    database.close()


@pytest.fixture
def other(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url, pool_size=1)
    yield database
    database.close()


def cut_everybody_off(database: Database) -> None:
    with database.read() as db:
        there = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        for pid in db.scalars(text(there)).all():
            db.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_statement_on_a_lost_connection_may_be_tried_again(database: Database, other: Database) -> None:
    with pytest.raises(Unavailable) as caught, database.write() as db:
        db.execute(text("SELECT 1"))
        cut_everybody_off(other)
        db.execute(text("SELECT 2"))
    assert caught.value.retry_after == 2
    with database.read() as db:
        assert db.scalar(text("SELECT 3")) == 3


def test_a_commit_whose_outcome_nobody_knows_is_not_simply_tried_again(database: Database, other: Database) -> None:
    with pytest.raises(Unavailable) as caught, database.write() as db:
        db.execute(text("CREATE TABLE outcome (n int)"))
        cut_everybody_off(other)
    assert caught.value.retry_after is None


def test_after_a_restart_one_request_at_most_meets_a_dead_connection(database: Database, other: Database) -> None:
    with database.read() as one, database.read() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
    cut_everybody_off(other)
    failed = 0
    for _ in range(4):
        try:
            with database.read() as db:
                db.execute(text("SELECT 1"))
        except Unavailable:
            failed += 1
    assert failed <= 1


def test_who_comes_when_all_connections_are_taken_is_told_to_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    with database.read(), database.read(), pytest.raises(Unavailable, match="busy") as caught, database.read():
        pass
    assert caught.value.retry_after == 1


def test_a_server_that_is_not_there() -> None:
    nobody = Database("postgresql://127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="does not answer"), nobody.read():
        pass
    nobody.close()


class TestListener:
    def test_it_hears_and_comes_back(self, database: Database, other: Database) -> None:
        heard: list[str] = []
        listener = Listener(database, heard.append)
        listener.start()
        until(lambda: heard == [""], "it listens")
        with other.write() as db:
            db.execute(text(f"SELECT pg_notify('{CHANNEL}', 'one')"))
        until(lambda: heard == ["", "one"], "it hears")
        cut_everybody_off(other)
        until(lambda: heard == ["", "one", ""], "it says that something may have been missed")
        listener.stop()
        listener.stop()

    def test_it_stops_while_the_database_is_away(self) -> None:
        listener = Listener(Database("postgresql://127.0.0.1:1/nothing"), lambda _: None)
        listener.start()
        listener.stop()
        assert not [one for one in threading.enumerate() if one.name == "luml-listen" and one.is_alive()]

    def test_what_is_rolled_back_is_not_heard(self, database: Database, other: Database) -> None:
        heard: list[str] = []
        listener = Listener(database, heard.append)
        listener.start()
        until(lambda: heard == [""], "it listens")
        with pytest.raises(DataError), other.write() as db:
            db.execute(text(f"SELECT pg_notify('{CHANNEL}', 'never')"))
            db.execute(text("SELECT 1/0"))
        with other.write() as db:
            db.execute(text(f"SELECT pg_notify('{CHANNEL}', 'kept')"))
        until(lambda: len(heard) == 2, "it hears")
        assert heard == ["", "kept"]
        listener.stop()


def test_a_statement_that_takes_too_long_is_ended(build_house: Callable[..., House]) -> None:
    database = build_house(statement_seconds=1).database
    with pytest.raises(DBAPIError) as caught, database.read() as db:
        db.execute(text("SELECT pg_sleep(60)"))
    assert isinstance(translated(caught.value), Unavailable)
    with database.read() as db:
        assert db.scalar(text("SELECT 1")) == 1


def test_the_address_may_set_options_of_its_own(build_house: Callable[..., House], database_url: str) -> None:
    mark = "&" if "?" in database_url else "?"
    own = f"{database_url}{mark}options=-c%20search_path%3Dpublic,pg_temp"
    with build_house(database_url=own, statement_seconds=7).database.read() as db:
        assert db.scalar(text("SHOW search_path")) == "public,pg_temp"
        assert db.scalar(text("SHOW statement_timeout")) == "7s"
