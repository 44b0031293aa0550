"""The server's own work: queued with the change that asks for it, done once, tried again, and taken over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.jobs import housekeeper as housekeeping
from luml_app.jobs import queue, workers
from luml_app.jobs.chores import Chore, Errand, Hopeless, queue_chore
from luml_app.jobs.housekeeper import Housekeeper
from luml_app.jobs.pruning import KEPT, prune_jobs
from luml_app.resources import CHORES
from luml_app.schemas.errors import Unavailable
from luml_app.web.house import House
from tests.serving import RunningServer, until

Hire = Callable[..., Housekeeper]


@pytest.fixture
def database(house: House) -> Database:
    return house.database


@pytest.fixture
def hire(house: House) -> Iterator[Hire]:
    """Hires housekeepers for the chores that it is given."""
    hired: list[Housekeeper] = []

    def build(*chores: Chore) -> Housekeeper:
        hired.append(Housekeeper(house.database, house.keys, house.settings, chores))
        return hired[-1]

    yield build
    for one in hired:
        one.stop()


def jobs(database: Database) -> list[Any]:
    with database.read() as db:
        return list(db.execute(select(t.jobs).order_by(t.jobs.c.created_at, t.jobs.c.id)))


def put(database: Database, chore: Chore, **options: Any) -> None:
    with database.write() as db:
        queue_chore(db, chore, **options)


def set_all(database: Database, **columns: Any) -> None:
    with database.write() as db:
        db.execute(update(t.jobs).values(columns))


def test_a_chore_gets_its_payload_and_leaves_its_result(database: Database, hire: Hire) -> None:
    double = Chore("double", lambda errand: errand.payload["n"] * 2)
    put(database, double, payload={"n": 21})
    assert hire(double).run_due() == 1
    (job,) = jobs(database)
    assert (job.state, job.result, job.satellite_id) == ("succeeded", {"result": 42}, None)


def test_a_chore_of_a_change_that_was_rolled_back_is_never_done(database: Database, hire: Hire) -> None:
    chore = Chore("never", lambda _: None)
    with pytest.raises(ZeroDivisionError), database.write() as db:
        queue_chore(db, chore)
        _ = 1 / 0
    assert hire(chore).run_due() == 0


def test_of_one_key_one_waits(database: Database, hire: Hire) -> None:
    chore = Chore("once", lambda _: None)
    for _ in range(3):
        put(database, chore, key="the same")
    assert hire(chore).run_due() == 1


def test_many_housekeepers_do_each_chore_once(database: Database, hire: Hire) -> None:
    done: list[int] = []
    chore = Chore("count", lambda errand: done.append(errand.payload["n"]))
    for number in range(40):
        put(database, chore, payload={"n": number})
    keepers = [hire(chore) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Housekeeper.run_due, keepers))
    assert sorted(done) == list(range(40))


def test_what_fails_is_tried_again_after_its_pauses_and_given_up_in_the_end(database: Database, hire: Hire) -> None:
    attempts: list[int] = []

    def fail(errand: Errand) -> None:
        attempts.append(errand.attempt)
        raise Unavailable("The bucket is asleep.")

    chore = Chore("fail", fail, attempts=3, pauses=(100, 1000))
    put(database, chore)
    keeper = hire(chore)
    assert keeper.run_due() == 1
    (job,) = jobs(database)
    assert job.state == "queued"
    assert timedelta(seconds=90) < job.scheduled_at - job.updated_at <= timedelta(seconds=100)
    for _ in range(2):
        set_all(database, scheduled_at=func.now())
        assert keeper.run_due() == 1
    (job,) = jobs(database)
    assert (job.state, job.result, attempts) == ("dead", {"error": "The bucket is asleep."}, [1, 2, 3])


def test_the_hopeless_is_not_tried_again(database: Database, hire: Hire) -> None:
    def give_up(_: Errand) -> None:
        raise Hopeless("There is no such thing.")

    chore = Chore("hopeless", give_up)
    put(database, chore)
    hire(chore).run_due()
    (job,) = jobs(database)
    assert (job.state, job.attempts) == ("failed", 1)


def test_a_chore_whose_housekeeper_died_is_done_by_another(database: Database, hire: Hire) -> None:
    done: list[int] = []
    chore = Chore("taken over", lambda errand: done.append(errand.attempt))
    put(database, chore)
    with database.write() as db:
        assert queue.claim_chore(db, 60, [chore.kind]) is not None  # and then its process is killed
    keeper = hire(chore)
    assert keeper.run_due() == 0
    set_all(database, lease_expires_at=func.now() - timedelta(seconds=1))
    assert keeper.run_due() == 1
    assert done == [2]


def test_a_chore_that_kills_its_housekeepers_is_buried(database: Database, hire: Hire) -> None:
    chore = Chore("deadly", lambda _: None, attempts=2)
    put(database, chore)
    for _ in range(2):
        with database.write() as db:
            assert queue.claim_chore(db, 60, [chore.kind]) is not None
        set_all(database, lease_expires_at=func.now() - timedelta(seconds=1))
    assert hire(chore).run_due() == 0
    assert [job.state for job in jobs(database)] == ["dead"]


def test_an_errand_learns_that_its_lease_is_lost(
    database: Database, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LEASE_SECONDS", 0.3)

    def wait(errand: Errand) -> None:
        set_all(database, state="cancelled", lease_token=None, lease_expires_at=None)
        until(errand.is_lost, "the errand learns of it")

    chore = Chore("lost", wait)
    put(database, chore)
    hire(chore).run_due()
    assert [job.state for job in jobs(database)] == ["cancelled"]


def test_a_long_errand_keeps_its_lease(database: Database, hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "LEASE_SECONDS", 0.3)

    def renewed() -> bool:
        (job,) = jobs(database)
        return bool(job.lease_expires_at - job.started_at > timedelta(seconds=0.9))

    chore = Chore("long", lambda errand: until(renewed, "the lease is renewed") and not errand.is_lost())
    put(database, chore)
    hire(chore).run_due()
    assert [job.result for job in jobs(database)] == [{"result": True}]


def test_what_recurs_is_planned_once_and_again_after_each_run(database: Database, hire: Hire) -> None:
    chore = Chore("recurring", lambda _: None, every=3600)
    keeper = hire(chore)
    for _ in range(2):
        keeper.plan()
    assert keeper.run_due() == 1
    keeper.plan()
    ended, next_one = jobs(database)
    assert (ended.state, next_one.state) == ("succeeded", "queued")
    assert next_one.scheduled_at - ended.finished_at > timedelta(minutes=59)


def test_what_recurs_goes_on_after_it_was_given_up(database: Database, hire: Hire) -> None:
    def fail(_: Errand) -> None:
        raise Unavailable

    chore = Chore("recurring", fail, every=3600, attempts=1)
    keeper = hire(chore)
    keeper.plan()
    assert keeper.run_due() == 1
    assert [job.state for job in jobs(database)] == ["dead", "queued"]


def test_a_running_server_is_woken_by_what_is_queued(
    house: House, start_server: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_SECONDS", 3600.0)
    done = threading.Event()
    chore = Chore("woken", lambda _: done.set())
    house.housekeeper.chores[chore.kind] = chore
    recurring = {one.kind for one in CHORES if one.every is not None}
    start_server(house, role="api")
    until(lambda: {job.type for job in jobs(house.database)} == recurring, "the first look is over")
    assert {job.state for job in jobs(house.database)} == {"queued"}, "they are not for the first minute"
    put(house.database, chore)
    assert done.wait(30)


def test_old_jobs_are_forgotten_and_waiting_ones_kept(database: Database, hire: Hire) -> None:
    chore = Chore("old", lambda _: None)
    put(database, chore)
    keeper = hire(chore, prune_jobs)
    keeper.run_due()
    set_all(database, finished_at=func.now() - KEPT - timedelta(days=1))
    put(database, chore)
    put(database, prune_jobs)
    assert keeper.run_due() == 2
    assert [(job.type, job.state) for job in jobs(database)] == [
        ("old", "succeeded"),
        ("jobs.prune", "succeeded"),
        ("jobs.prune", "queued"),
    ]
