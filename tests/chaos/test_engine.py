"""`kill -9` of the Docker engine itself, under fifty requests a second."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from luml_app.client.objects import DeploymentHandle
from satellite import reasons
from tests.chaos.house import SECONDS_TO_BE_RIGHT, Installation, installed
from tests.chaos.own_engine import own_engine, wheels
from tests.satellite.contract_server import until
from tests.satellite.load import Load, load

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(900)]

BODY = {"inputs": {"x": [1.0, 2.0]}}


def starts(house: Installation, handle: DeploymentHandle) -> dict[str, Any]:
    """When each container was started last."""
    return {one.id: one.attrs["State"]["StartedAt"] for one in house.containers(handle.data.id)}


def until_unknown(house: Installation, handle: DeploymentHandle) -> None:
    """Wait until the platform says that nobody knows what runs, and what to do about it."""

    def told() -> dict[str, Any]:
        row = house.row(handle.data.id)
        assert row.status == "active", "what is unknown is not absent"
        return row.error_message or {}

    until(lambda: told().get("reason") == reasons.RUNTIME_AWAY.text, 30, "that the platform says so")
    assert "Start the Docker engine" in told()["next_step"]


def callers(house: Installation, handle: DeploymentHandle) -> AbstractContextManager[Load]:
    return load(handle.url, house.cast.alice.api_key, BODY)


def until_answers(calls: Load, count: int = 50) -> None:
    before = calls.count()
    until(lambda: calls.count() > before + count, 30, "further answers")


def test_with_live_restore_nobody_notices(tmp_path: Path) -> None:
    with (
        own_engine(live_restore=True) as engine,
        installed(tmp_path, "docker", engine.address, SATELLITE_WHEELHOUSE=wheels()) as house,
    ):
        models = [house.model(name) for name in ("first", "second")]
        steady = models[0].deploy(name="steady", parameters={"replicas": 2}).wait(120)
        changed, deleted = (models[0].deploy(name=name).wait(120) for name in ("changed", "deleted"))
        before = starts(house, steady)
        with callers(house, steady) as calls, callers(house, changed) as others:
            until_answers(calls)
            engine.kill()
            until_unknown(house, steady)
            deleted.orbit.client.deployments.delete(*deleted.ids)
            changed.update(models[1])
            until_answers(calls)
            assert house.row(deleted.data.id) is not None, "nobody can say yet that it is gone"

            engine.start()
            for handle, replicas in ((steady, 2), (changed, 1), (deleted, 0)):
                right = partial(house.is_right, handle, replicas)
                until(right, SECONDS_TO_BE_RIGHT, f"that {handle.data.name} is right again")
            until_answers(calls)
        assert calls.failures == others.failures == []
        assert len(others.by_revision) == 2, "the revision that was asked for meanwhile serves"
        assert starts(house, steady) == before
        assert len(house.containers()) == 3


def test_without_live_restore_all_serves_again(tmp_path: Path) -> None:
    with (
        own_engine(live_restore=False) as engine,
        installed(tmp_path, "docker", engine.address, SATELLITE_WHEELHOUSE=wheels()) as house,
    ):
        handles = [house.model(name).deploy(name=name).wait(120) for name in ("first", "second")]
        with callers(house, handles[0]) as calls:
            until_answers(calls)
            engine.kill()
            until_unknown(house, handles[0])
            until_answers(calls)
            assert calls.failures == [], "until the engine is back, its containers live"

            engine.start()
            for handle in handles:
                until(partial(house.is_right, handle), SECONDS_TO_BE_RIGHT, "that all is right again")
        # The engine ends what it finds and starts it again: requests in hand are lost, later ones wait or are refused.
        assert {fault[:3] for fault in calls.failures} <= {"502", "503"}
        assert len(house.containers()) == len(handles), "none is left over and none is there twice"
        for handle in handles:
            with callers(house, handle) as calls:
                until_answers(calls)
            assert calls.failures == []
