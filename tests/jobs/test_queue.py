"""The job table against real PostgreSQL: leases, tokens, retries, and many who want the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.jobs import queue
from luml_app.web.house import House
from tests.cast import Cast


@pytest.fixture
def database(house: House) -> Database:
    return house.database


@pytest.fixture
def satellite_id(house: House, cast: Cast, alices: Any) -> UUID:
    return UUID(str(alices.satellites.create(*cast.here.path, name="Worker").satellite.id))


@pytest.fixture
def enqueue(database: Database, satellite_id: UUID, cast: Cast) -> Callable[..., Any]:
    def put(kind: str = "deploy", key: str = "deployment:1") -> Any:
        place = {"satellite_id": satellite_id, "orbit_id": cast.here.orbit_id}
        with database.write() as db:
            return queue.enqueue(db, queue.new_job(kind, {"deployment_id": key}, dedupe_key=key, **place))

    return put


@pytest.fixture
def do(database: Database) -> Callable[..., Any]:
    """Runs a function of the queue in a transaction of its own."""

    def run(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with database.write() as db:
            return function(db, *arguments, **named)

    return run


def let_leases_run_out(database: Database) -> None:
    past = func.now() - timedelta(seconds=1)
    with database.write() as db:
        db.execute(update(t.jobs).where(t.jobs.c.state == "leased").values(lease_expires_at=past))


def let_pauses_end(database: Database) -> None:
    with database.write() as db:
        db.execute(update(t.jobs).values(scheduled_at=func.now()))


def states(database: Database) -> dict[UUID, str]:
    with database.read() as db:
        return {row.id: row.state for row in db.execute(select(t.jobs.c.id, t.jobs.c.state))}


def test_of_ten_who_claim_one_wins(enqueue: Any, do: Any) -> None:
    for number in range(5):
        job = enqueue(key=f"deployment:{number}")
        start = threading.Barrier(10)

        def claim(_: int, job_id: UUID = job.id, start: threading.Barrier = start) -> Any:
            start.wait()
            return do(queue.claim, job_id, 30)

        with ThreadPoolExecutor(10) as pool:
            won = [row for row in pool.map(claim, range(10)) if row is not None]
        assert len(won) == 1


def test_a_lost_lease_is_taken_over_and_the_late_worker_is_refused(
    enqueue: Any, do: Any, database: Database, satellite_id: UUID
) -> None:
    job = enqueue()
    first = do(queue.claim, job.id, 30)
    assert do(queue.waiting, satellite_id) == []
    let_leases_run_out(database)
    assert [row.id for row in do(queue.waiting, satellite_id)] == [job.id]
    second = do(queue.claim, job.id, 30)
    assert (second.attempts, second.lease_token != first.lease_token) == (2, True)
    for late in (
        do(queue.renew, job.id, first.lease_token, 30),
        do(queue.succeed, job.id, first.lease_token, {}),
        do(queue.fail, job.id, first.lease_token, {}),
    ):
        assert late is None
    assert do(queue.succeed, job.id, second.lease_token, {"fine": True}).state == "succeeded"
    assert do(queue.succeed, job.id, second.lease_token, {}) is None


def test_a_lease_that_ran_out_can_be_renewed_while_nobody_took_it(enqueue: Any, do: Any, database: Database) -> None:
    job = enqueue()
    mine = do(queue.claim, job.id, 30)
    let_leases_run_out(database)
    assert do(queue.renew, job.id, mine.lease_token, 30) is not None
    assert do(queue.claim, job.id, 30) is None


def test_what_is_queued_twice_is_done_once_and_as_asked_last(enqueue: Any) -> None:
    first, second = enqueue("deploy"), enqueue("undeploy")
    assert (second.id, second.type) == (first.id, "undeploy")
    assert enqueue(key="deployment:2").id != first.id


def test_a_newer_job_waits_for_the_one_under_way(enqueue: Any, do: Any, satellite_id: UUID) -> None:
    older = do(queue.claim, enqueue("deploy").id, 30)
    newer = enqueue("undeploy")
    assert newer.id != older.id
    assert do(queue.waiting, satellite_id) == []
    assert do(queue.claim, newer.id, 30) is None
    do(queue.succeed, older.id, older.lease_token, {})
    assert do(queue.claim, newer.id, 30) is not None


def test_a_newer_job_supersedes_one_whose_worker_was_lost(enqueue: Any, do: Any, database: Database) -> None:
    older = do(queue.claim, enqueue("deploy").id, 30)
    newer = enqueue("undeploy")
    let_leases_run_out(database)
    assert do(queue.claim, newer.id, 30).type == "undeploy"
    assert states(database) == {older.id: "cancelled", newer.id: "leased"}
    assert do(queue.succeed, older.id, older.lease_token, {}) is None


def test_who_asks_for_an_ended_job_takes_nothing_from_the_live_one(enqueue: Any, do: Any, database: Database) -> None:
    ended = do(queue.claim, enqueue().id, 30)
    do(queue.succeed, ended.id, ended.lease_token, {})
    lost = do(queue.claim, enqueue().id, 30)
    let_leases_run_out(database)
    assert do(queue.claim, ended.id, 30) is None
    assert states(database)[lost.id] == "leased"
    assert do(queue.claim, lost.id, 30) is not None


def test_a_passing_failure_is_tried_again_until_it_is_dead(enqueue: Any, do: Any, database: Database) -> None:
    job = enqueue()
    for attempt in range(1, job.max_attempts + 1):
        let_pauses_end(database)
        leased = do(queue.claim, job.id, 30)
        assert leased.attempts == attempt
        failed = do(queue.fail, job.id, leased.lease_token, {"reason": "away"}, transient=True)
        assert failed.state == ("dead" if attempt == job.max_attempts else "queued")
        assert (failed.finished_at is not None) == (failed.state == "dead")
        assert do(queue.claim, job.id, 30) is None, "not before its pause is over, and never when it is dead"


def test_what_the_user_must_mend_is_not_tried_again(enqueue: Any, do: Any) -> None:
    job = enqueue()
    leased = do(queue.claim, job.id, 30)
    assert do(queue.fail, job.id, leased.lease_token, {"reason": "no such secret"}).state == "failed"


def test_a_passing_failure_gives_way_to_newer_work(enqueue: Any, do: Any, database: Database) -> None:
    older = do(queue.claim, enqueue("deploy").id, 30)
    newer = enqueue("undeploy")
    assert do(queue.fail, older.id, older.lease_token, {}, transient=True).state == "cancelled"
    assert states(database)[newer.id] == "queued"


def test_a_job_that_kills_its_workers_is_buried(enqueue: Any, do: Any, database: Database, satellite_id: UUID) -> None:
    job = enqueue()
    for _ in range(job.max_attempts):
        assert do(queue.claim, job.id, 30) is not None
        let_leases_run_out(database)
    assert do(queue.claim, job.id, 30) is None
    assert states(database) == {job.id: "dead"}
    assert do(queue.waiting, satellite_id) == []
    assert enqueue().id != job.id


def test_an_older_satellite_reports_without_a_token(enqueue: Any, do: Any) -> None:
    job = enqueue()
    leased = do(queue.claim, job.id, None)
    assert (leased.lease_expires_at - leased.updated_at).total_seconds() == queue.LEASE_WITHOUT_RENEWAL
    assert do(queue.succeed, job.id, None, {}).state == "succeeded"


def test_claiming_is_fast_among_many(enqueue: Any, do: Any, database: Database, satellite_id: UUID) -> None:
    """Seen by the plan, not by the clock: the partial index carries it."""

    with database.write() as db:
        db.execute(
            text(
                "INSERT INTO jobs (id, satellite_id, orbit_id, type, payload, dedupe_key, state) "
                "SELECT gen_random_uuid(), :satellite, (SELECT orbit_id FROM satellites WHERE id = :satellite), "
                "'deploy', '{}', 'old:' || n, 'succeeded' FROM generate_series(1, 20000) n"
            ),
            {"satellite": satellite_id},
        )
        db.execute(text("ANALYZE jobs"))
    job = enqueue()
    with database.read() as db:
        plan = "\n".join(
            db.scalars(
                text(
                    "EXPLAIN SELECT 1 FROM jobs WHERE satellite_id = :satellite AND state IN ('queued', 'leased') "
                    "ORDER BY scheduled_at"
                ),
                {"satellite": satellite_id},
            )
        )
    assert "jobs_live_idx" in plan
    assert [row.id for row in do(queue.waiting, satellite_id)] == [job.id]
    assert new_id() > job.id


def test_a_connection_that_has_prepared_its_statements_goes_on(
    build_house: Callable[..., House], satellite_id: UUID, cast: Cast
) -> None:
    """After a few executions PostgreSQL plans a statement for any value; the partial indexes must still fit."""
    house = build_house(pool_size=1)
    place = {"satellite_id": satellite_id, "orbit_id": cast.here.orbit_id}
    for number in range(30):
        with house.database.write() as db:
            db.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
            job = queue.new_job("deploy", {}, dedupe_key=f"deployment:{number % 3}", **place)
            row = queue.enqueue(db, job)
            assert queue.waiting(db, satellite_id)
            leased = queue.claim(db, row.id, 30)
            queue.fail(db, row.id, leased.lease_token, {}, transient=number % 2 == 0)
            queue.cancel_queued(db, row.dedupe_key, "deploy")
