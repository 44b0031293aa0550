# ruff: noqa: F401, F811 (fixtures of other modules)
"""A satellite that takes its jobs straight from the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from luml_app.client.objects import ArtifactHandle
from luml_app.core import tables as t
from luml_app.resources.satellite_logins import make_login, revoke_login
from tests.satellite.contract_server import until
from tests.satellite.test_with_platform import (
    Platform,
    Satellite,
    doubles,
    doubling,
    gone,
    orbit,
    platform,
    satellite,
)


@pytest.fixture
def login(platform: Platform, satellite: Satellite) -> Iterator[str]:
    database = platform.server.house.database
    yield make_login(database, "box")
    revoke_login(database, "box")


def test_jobs_come_and_go_through_the_direct_door(
    platform: Platform, satellite: Satellite, doubling: ArtifactHandle, login: str
) -> None:
    satellite.start(SATELLITE_DATABASE_URL=login)
    handle = doubling.deploy(satellite="box").wait(60)
    assert doubles(handle)

    def states() -> dict[str, str]:
        with platform.server.house.database.read() as db:
            query = select(t.jobs.c.type, t.jobs.c.state).where(t.jobs.c.satellite_id.is_not(None))
            return {row.type: row.state for row in db.execute(query)}

    until(lambda: states() == {"deploy": "succeeded"})
    with platform.server.house.database.read() as db:
        sessions = db.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'luml_satellite_%'"))
    assert sessions == 2
    handle.delete()
    until(lambda: gone(handle), 60, "the deletion")
    until(lambda: states().get("undeploy") == "succeeded")
