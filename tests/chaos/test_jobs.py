"""Ten thousand jobs, eight workers with one key, and a killer among them: each job is done, and finished once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.jobs.queue import new_job
from tests.chaos.house import Installation, Program, environment, installed
from tests.chaos.job_worker import THREADS
from tests.satellite.contract_server import until

JOBS, WORKERS, SEED = 10_000, 8, 4
OURS = t.jobs.c.satellite_id.is_not(None)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as made:
        yield made


def enqueue(house: Installation, count: int) -> None:
    place = {"satellite_id": house.made.satellite.id, "orbit_id": house.cast.here.orbit_id}
    keys = [str(new_id()) for _ in range(count)]
    rows = [new_job("undeploy", {"deployment_id": key}, dedupe_key=f"deployment:{key}", **place) for key in keys]
    with house.database.write() as db:
        db.execute(insert(t.jobs), rows)


def left(house: Installation) -> int:
    with house.database.read() as db:
        return db.scalar(select(func.count()).where(t.jobs.c.state != "succeeded", OURS)) or 0


def finishes(house: Installation) -> Counter[UUID]:
    """How often each job was finished: the event is written with the change, or neither is."""
    e = t.events
    with house.database.read() as db:
        return Counter(db.scalars(select(e.c.object_id).where(e.c.action == "task.done")))


def test_each_job_is_done_and_finished_once(house: Installation, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    enqueue(house, JOBS)
    told = ["tests.chaos.job_worker", house.address, house.made.api_key, str(tmp_path)]
    workers = [Program(tmp_path / "workers.log", told, environment()) for _ in range(WORKERS)]
    for one in workers:
        one.start()
    killed = 0

    def work_goes_on(before: int) -> Any:
        return until(lambda: (now := left(house)) <= max(0, before - 400) and (now, True), 120, "further jobs")

    try:
        servers = {JOBS // 3, JOBS * 2 // 3}
        there = JOBS
        while there:
            there = work_goes_on(there)[0]
            victim = chance.choice(workers)
            victim.kill()
            victim.start()
            killed += 1
            if due := [one for one in servers if there <= one]:
                house.kill_server()
                servers -= set(due)
    finally:
        for one in workers:
            one.kill()

    with house.database.read() as db:
        jobs = db.execute(select(t.jobs).where(OURS)).all()
    done = Counter((tmp_path / "done.txt").read_text().split())
    assert {job.state for job in jobs} == {"succeeded"}
    assert not servers
    assert set(finishes(house).values()) == {1}
    assert len(finishes(house)) == JOBS
    for job in jobs:
        assert 1 <= done[job.payload["deployment_id"]] <= job.attempts
    again = sum(job.attempts - 1 for job in jobs)
    assert again <= (killed + 2 * WORKERS) * THREADS, "only what a victim had in hand is taken up a second time"
