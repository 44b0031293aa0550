"""What claiming a job costs the database, with few jobs waiting and with a hundred thousand."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select, text

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.jobs.queue import new_job
from luml_app.web.house import House
from tests.benchmarks.measuring import p50
from tests.cast import Cast

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FEW, MANY, CLAIMS = 200, 100_000, 100


def fill(house: House, satellite_id: Any, orbit_id: UUID, count: int) -> None:
    for _ in range(count // FEW):
        keys = [str(new_id()) for _ in range(FEW)]
        place = {"satellite_id": satellite_id, "orbit_id": orbit_id}
        with house.database.write() as db:
            db.execute(insert(t.jobs), [new_job("deploy", {}, dedupe_key=key, **place) for key in keys])
    with house.database.write() as db:
        db.execute(text("ANALYZE jobs"))


def milliseconds(db: Connection, call: str, **values: Any) -> float:
    """How long the database itself works on it."""
    plan = db.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {call}"), values)
    return float((json.loads(plan) if isinstance(plan, str) else plan)[0]["Execution Time"])


def measured(house: House, satellite_id: Any) -> tuple[float, float]:
    """Listing the oldest jobs, and claiming one of them."""
    listed, claimed = [], []
    with house.database.write() as db:
        oldest = db.scalars(select(t.jobs.c.id).order_by(t.jobs.c.scheduled_at, t.jobs.c.id).limit(CLAIMS)).all()
        for job_id in oldest:
            listed.append(milliseconds(db, "jobs_waiting(:satellite, 100)", satellite=satellite_id))
            claimed.append(milliseconds(db, "job_claim(:job, 30)", job=job_id))
        db.rollback()
    return p50(listed) / 1000, p50(claimed) / 1000


def test_a_long_backlog_makes_claims_no_dearer(house: House, cast: Cast, alices: Any) -> None:
    satellite_id = alices.satellites.create(*cast.here.path, name="bench").satellite.id
    fill(house, satellite_id, cast.here.orbit_id, FEW)
    few = measured(house, satellite_id)
    fill(house, satellite_id, cast.here.orbit_id, MANY)
    many = measured(house, satellite_id)
    for waiting, (listed, claimed) in ((FEW, few), (MANY, many)):
        print(f"\n{waiting} waiting, ms of the database: a claim {claimed:.3f}, the list of the oldest {listed:.3f}")
    assert many[1] <= 3 * few[1]
    assert many[0] <= 3 * few[0]
