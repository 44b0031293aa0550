"""The direct door: what a satellite's login at the database may do, what it may not, and that no job is done twice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select, text, update
from sqlalchemy.engine import make_url

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.jobs import queue
from luml_app.jobs.door import Door, DoorClosed, Refused
from luml_app.resources.satellite_logins import CONNECTIONS, make_login, revoke_login
from luml_app.schemas.errors import ConfigurationError, Conflict, NotFound
from luml_app.web.house import House
from tests.cast import Cast
from tests.jobs.test_queue import let_leases_run_out, states

WORKER = """
import sys, time
from luml_app.jobs.door import Door, DoorClosed
door = Door(sys.argv[1])
while True:
    try:
        for job in door.waiting(0.5):
            mine = door.claim(job["id"], 1.0)
            if mine:
                time.sleep(0.002)
                if door.finish(mine["id"], mine["lease_token"], "done", {}):
                    print(mine["id"], flush=True)
    except DoorClosed:
        time.sleep(0.1)
"""


@pytest.fixture
def database(house: House) -> Database:
    return house.database


@pytest.fixture
def satellite_id(cast: Cast, alices: Any) -> UUID:
    return UUID(str(alices.satellites.create(*cast.here.path, name="Near").satellite.id))


@pytest.fixture
def url(database: Database, satellite_id: UUID) -> Iterator[str]:
    yield make_login(database, "Near")
    with suppress(NotFound):  # a test has deleted it
        revoke_login(database, str(satellite_id))  # roles belong to the whole server


@pytest.fixture
def door(url: str) -> Iterator[Door]:
    made = Door(url)
    yield made
    made.close()


@pytest.fixture
def enqueue(database: Database, satellite_id: UUID, cast: Cast) -> Callable[..., UUID]:
    def put(key: str = "deployment:1", satellite: UUID = satellite_id) -> UUID:
        place = {"satellite_id": satellite, "orbit_id": cast.here.orbit_id}
        with database.write() as db:
            row = queue.enqueue(db, queue.new_job("deploy", {"deployment_id": key}, dedupe_key=key, **place))
        return UUID(str(row.id))

    return put


@pytest.fixture
def other_job(enqueue: Callable[..., UUID], cast: Cast, alices: Any) -> UUID:
    """A job of another satellite of the same orbit."""
    other = alices.satellites.create(*cast.here.path, name="Far").satellite.id
    return enqueue("deployment:far", UUID(str(other)))


@pytest.fixture
def hostile(url: str) -> Iterator[psycopg.Connection[Any]]:
    """The login in the hands of somebody who does not use our client."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_a_job_from_the_bell_to_the_end(door: Door, enqueue: Any, database: Database) -> None:
    heard: list[Any] = []
    assert door.waiting(0) == []
    thread = threading.Thread(target=lambda: heard.extend(door.waiting(30)))
    thread.start()
    job = enqueue()
    thread.join(10)
    assert [one["id"] for one in heard] == [str(job)]
    assert heard[0]["payload"] == {"deployment_id": "deployment:1"}
    mine = door.claim(str(job), 30)
    assert mine
    assert door.claim(str(job), 30) is None
    assert door.renew(str(job), mine["lease_token"], 30)
    assert door.renew(str(job), str(uuid4()), 30) is None
    assert door.finish(str(job), str(uuid4()), "done", {}) is None
    assert door.finish(str(job), mine["lease_token"], "done", {"fine": True})
    assert states(database) == {job: "succeeded"}


def test_both_doors_have_one_rule(door: Door, enqueue: Any, database: Database) -> None:
    job = enqueue()
    mine = door.claim(str(job), 30)
    assert mine
    with database.write() as db:
        assert queue.claim(db, job, 30) is None
    let_leases_run_out(database)
    with database.write() as db:
        theirs = queue.claim(db, job, 30)
    assert theirs is not None
    assert door.finish(str(job), mine["lease_token"], "done", {}) is None
    assert door.finish(str(job), str(theirs.lease_token), "failed", {"transient": True})
    with database.read() as db:
        row = db.execute(select(t.jobs)).one()
        pause = db.scalar(select(func.extract("epoch", t.jobs.c.scheduled_at - t.jobs.c.updated_at)))
    assert (row.state, row.attempts) == ("queued", 2)
    assert pause == 15


def test_jobs_of_others_cannot_be_touched(door: Door, other_job: UUID, database: Database) -> None:
    assert door.waiting(0) == []
    assert door.claim(str(other_job), 30) is None
    with database.write() as db:
        leased = queue.claim(db, other_job, 30)
    assert leased is not None
    assert door.renew(str(other_job), str(leased.lease_token), 30) is None
    assert door.finish(str(other_job), str(leased.lease_token), "done", {}) is None
    assert states(database) == {other_job: "leased"}


def test_a_lost_lease_of_others_is_not_ended_on_the_way(door: Door, other_job: UUID, database: Database) -> None:
    with database.write() as db:
        queue.claim(db, other_job, 30)
        db.execute(update(t.jobs).values(attempts=5))
    let_leases_run_out(database)
    assert door.claim(str(other_job), 30) is None
    assert states(database) == {other_job: "leased"}


def test_no_table_opens(hostile: psycopg.Connection[Any], database: Database) -> None:
    with database.read() as db:
        tables = list(db.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
    assert "jobs" in tables
    for name in tables:
        table = sql.Identifier("public", name)
        for statement in ("SELECT * FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES", "LOCK TABLE {}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), hostile.transaction():
                hostile.execute(sql.SQL(statement).format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.job_claim(gen_random_uuid(), 1)",
        "SELECT * FROM public.jobs_waiting(gen_random_uuid(), 1)",
        "SELECT satellite_door.me()",
        "SELECT satellite_door.is_mine(gen_random_uuid())",
        "CREATE TABLE public.mine (x int)",
        "CREATE TABLE satellite_door.mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE jobs (x int)",
        "CREATE FUNCTION pg_temp.now() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION satellite_door.me() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        "ALTER FUNCTION satellite_door.claim(uuid, double precision) SECURITY INVOKER",
        "CREATE ROLE friend",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
        "ALTER ROLE CURRENT_USER CREATEROLE",
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {owner}",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/satellite-was-here'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_terminate_backend(pg_backend_pid()) FROM public.jobs",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_nothing_else_is_allowed(hostile: psycopg.Connection[Any], database: Database, statement: str) -> None:
    with database.read() as db:
        owner = db.scalar(text("SELECT quote_ident(current_user)"))
    hostile.execute("SET search_path = public")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hostile.execute(statement.replace("{owner}", str(owner)))


def test_a_search_path_leads_nobody_astray(hostile: psycopg.Connection[Any], enqueue: Any) -> None:
    job = enqueue()
    for path in ("pg_temp, public", "''", '"$user"', "nowhere"):
        hostile.execute(f"SET search_path = {path}")
        assert hostile.execute("SELECT count(*) FROM satellite_door.waiting()").fetchone() == (1,)
    hostile.execute("SET search_path = pg_temp")
    assert hostile.execute("SELECT satellite_door.claim(%s, 30)", (job,)).fetchone()


def test_what_is_too_much_is_cut(
    hostile: psycopg.Connection[Any], door: Door, enqueue: Any, database: Database
) -> None:
    job = enqueue()
    hostile.execute("SELECT satellite_door.claim(%s, 1e9)", (job,))
    with database.read() as db:
        left = db.scalar(select(func.extract("epoch", t.jobs.c.lease_expires_at - func.now())))
        token = db.scalar(select(t.jobs.c.lease_token))
    assert left <= 3600
    with pytest.raises(Refused, match="1 MiB"):
        door.finish(str(job), str(token), "done", {"x": [random.random() for _ in range(200_000)]})
    with pytest.raises(Refused, match="neither done nor failed"):
        door.finish(str(job), str(token), "queued", {})
    assert hostile.execute("SELECT satellite_door.finish(%s, NULL, 'done', NULL)", (job,)).fetchone() is None


def test_statements_and_waiting_for_locks_end(
    hostile: psycopg.Connection[Any], enqueue: Any, database: Database
) -> None:
    job = enqueue()
    assert hostile.execute("SHOW statement_timeout").fetchone() == ("10s",)
    with psycopg.connect(make_url(database.url).set(drivername="postgresql").render_as_string(False)) as owner:
        owner.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        hostile.execute("SET statement_timeout = 0")
        hostile.execute("SET lock_timeout = 0")
        with pytest.raises(psycopg.errors.LockNotAvailable):  # the function's own limit
            hostile.execute("SELECT satellite_door.claim(%s, 30)", (job,))


def test_connections_are_few(url: str) -> None:
    open_ones = [psycopg.connect(url) for _ in range(CONNECTIONS)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        psycopg.connect(url)
    for one in open_ones:
        one.close()


def test_the_bell_says_nothing_and_nobody_else_knows_its_name(
    hostile: psycopg.Connection[Any], enqueue: Any, other_job: UUID
) -> None:
    (channel,) = hostile.execute("SELECT satellite_door.channel()").fetchone() or ("",)
    hostile.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    enqueue("deployment:2")
    heard = list(hostile.notifies(timeout=5, stop_after=1))
    assert [one.payload for one in heard] == [""]


def test_a_new_login_ends_the_old_one_and_the_satellite_takes_it_along(
    database: Database, satellite_id: UUID, url: str, cast: Cast, alices: Any
) -> None:
    old = Door(url)
    old.waiting(0)
    new = make_login(database, str(satellite_id))
    with pytest.raises(DoorClosed):
        old.waiting(0)
    assert make_url(new).password != make_url(url).password
    fresh = Door(new)
    assert fresh.waiting(0) == []
    alices.satellites.delete(*cast.here.path, satellite_id)
    with pytest.raises(DoorClosed):
        fresh.waiting(0)
    with database.read() as db:
        roles = db.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname LIKE :r"), {"r": f"%{satellite_id.hex}"})
    assert roles == 0


def test_who_is_meant_must_be_clear(database: Database, satellite_id: UUID, cast: Cast, alices: Any) -> None:
    with pytest.raises(NotFound, match="nobody"):
        make_login(database, "nobody")
    alices.satellites.create(*cast.here.path, name="Near")
    with pytest.raises(Conflict, match=str(satellite_id)):
        make_login(database, "Near")
    assert revoke_login(database, str(satellite_id)) is False


@pytest.fixture
def humble(database: Database) -> Iterator[Database]:
    """The same database for a server whose user owns it and may not make roles."""
    role = f"luml_humble_{uuid4().hex[:8]}"
    made = Database(make_url(database.url).set(username=role, password="pw").render_as_string(False))
    with database.write() as db:
        db.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'"))
        db.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
    yield made
    made.close()
    with database.write() as db:
        db.execute(text(f"DROP OWNED BY {role}"))
        db.execute(text(f"DROP ROLE {role}"))


def test_a_server_that_may_not_make_roles_says_what_to_do(humble: Database, satellite_id: UUID) -> None:
    with pytest.raises(ConfigurationError, match=r"ALTER ROLE .* CREATEROLE"):
        make_login(humble, str(satellite_id))


def test_no_job_is_done_twice_by_workers_that_are_killed(
    satellite_id: UUID, enqueue: Any, database: Database, tmp_path: Path
) -> None:
    url = make_login(database, str(satellite_id), connections=24)
    jobs = [enqueue(f"deployment:{number}") for number in range(300)]
    dice = random.Random(4)
    outputs = [(tmp_path / f"{number}.txt").open("w") for number in range(8)]

    def start(number: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, url], stdout=outputs[number], stderr=subprocess.STDOUT)

    workers = [start(number) for number in range(len(outputs))]
    deadline, kills = time.monotonic() + 90, 0
    try:
        while Counter(states(database).values())["succeeded"] < len(jobs) and time.monotonic() < deadline:
            time.sleep(dice.uniform(0.3, 0.6))
            victim = dice.randrange(len(workers))
            workers[victim].kill()
            workers[victim].wait()
            workers[victim], kills = start(victim), kills + 1
    finally:
        for one in workers:
            one.kill()
            one.wait()
    revoke_login(database, str(satellite_id))
    done = Counter(line for path in tmp_path.glob("*.txt") for line in path.read_text().split())
    assert Counter(states(database).values()) == {"succeeded": len(jobs)}
    assert kills > 0
    assert set(done.values()) == {1}
    assert set(done) <= {str(job) for job in jobs}
