"""Rollouts on the real platform, satellite and gateway, under a steady load: no request fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luml_app.client.objects import ArtifactHandle, DeploymentFailed, DeploymentHandle
from luml_app.client.orbits import OrbitHandle
from luml_app.schemas.revisions import RolloutBounds
from tests.satellite.contract_server import until
from tests.satellite.load import Load, load
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import replicas_under
from tests.satellite.test_with_platform import (
    BuildHouse,
    Platform,
    Satellite,
    orbit,
    platform,
    satellite,
)

__all__ = ["BuildHouse", "orbit", "platform", "satellite"]

BODY = {"inputs": {"x": [1.0, 2.0]}}
FAILING = "{'y': 1 / 0}"


@pytest.fixture
def models(orbit: OrbitHandle, tmp_path: Path) -> Any:
    """Makes models: uploads one whose `compute` is an expression."""

    def make(name: str, **facts: Any) -> ArtifactHandle:
        path = write_model(tmp_path / f"{name}.luml", **{"warmup": f"print({name!r})", **facts})
        return orbit.upload(path, name=name)

    return make


@pytest.fixture
def live(satellite: Satellite, models: Any) -> DeploymentHandle:
    """A deployment that serves."""
    satellite.start()
    handle: DeploymentHandle = models("first").deploy().wait(60)
    return handle


@pytest.fixture
def callers(platform: Platform, live: DeploymentHandle) -> Iterator[Load]:
    """Fifty requests a second to the deployment, none of which may fail."""
    with load(live.url, platform.cast.alice.api_key, BODY) as made:
        until(lambda: made.count() > 20, what="the first answers")
        yield made
    assert made.failures == []


def serving(satellite: Satellite) -> int:
    return len(replicas_under(satellite.data))


def test_a_new_revision_takes_over_and_the_old_one_goes(
    satellite: Satellite, live: DeploymentHandle, models: Any, callers: Load
) -> None:
    before = callers.seen()
    live.update(models("second"), why="better").wait(60)
    assert (live.data.revision.number, live.data.rollout) == (2, None)
    until(lambda: serving(satellite) == 1, what="the end of the old replica")
    assert len(callers.since(before)) == 2
    now = callers.seen()
    until(lambda: sum(callers.since(now).values()) > 50, what="further answers")
    assert len(callers.since(now)) == 1


def test_a_canary_gets_its_share_and_takes_over_or_goes_back(
    satellite: Satellite, live: DeploymentHandle, models: Any, callers: Load
) -> None:
    live.update(models("second"), weight=10).wait(60)
    before = callers.seen()
    until(lambda: sum(callers.since(before).values()) >= 200, what="200 answers")
    few, many = sorted(callers.since(before).values())
    assert 0.07 <= few / (few + many) <= 0.13
    live.rollback(why="it smells").wait(60)
    until(lambda: serving(satellite) == 1, what="the end of the canary")
    assert (live.data.revision.number, live.data.rollout) == (1, None)

    live.update(models("third"), weight=10).wait(60)
    live.promote().wait(60)
    until(lambda: live.reload().data.rollout is None, what="the end of the rollout")
    until(lambda: serving(satellite) == 1, what="the end of the old replica")
    assert live.data.revision.number == 3


def test_a_revision_that_cannot_start_changes_nothing(
    satellite: Satellite, live: DeploymentHandle, models: Any, callers: Load
) -> None:
    broken = models("broken", warmup="raise ValueError('no weights')")
    with pytest.raises(DeploymentFailed, match="no weights"):
        live.update(broken).wait(60)
    assert live.reload().data.status == "active"
    live.rollback().wait(60)
    assert (live.data.error_message, live.data.revision.number) == (None, 1)
    until(lambda: serving(satellite) == 1, what="the end of the broken replica")


def test_a_revision_that_fails_its_requests_is_taken_back_by_itself(
    platform: Platform, satellite: Satellite, live: DeploymentHandle, models: Any
) -> None:
    bounds = RolloutBounds(error_rate=0.2, min_requests=10)
    live.update(models("failing", expression=FAILING), weight=50, bounds=bounds).wait(60)
    with load(live.url, platform.cast.alice.api_key, BODY) as callers:
        until(lambda: live.reload().data.revision.number == 1, what="the way back")
        live.wait(60)
        seen = callers.seen()
        until(lambda: sum(callers.since(seen).values()) > 50, what="further answers")
        failed = len(callers.failures)
        until(lambda: sum(callers.since(seen).values()) > 100, what="further answers")
        assert len(callers.failures) == failed
    newest = next(live.revisions())
    assert newest.problem
    assert newest.problem["reason"] == "Too many requests failed"
    until(lambda: serving(satellite) == 1, what="the end of the failing replica")


def test_steps_follow_each_other_by_the_clock(
    satellite: Satellite, live: DeploymentHandle, models: Any, callers: Load
) -> None:
    live.update(models("second"), steps=[(5, 1), (50, 1), (100, 1)])
    until(lambda: live.reload().data.rollout is None, 60, "the last step")
    live.wait(60)
    until(lambda: serving(satellite) == 1, what="the end of the old replica")
    assert live.data.revision.number == 2


def test_a_mirror_gets_copies_and_its_faults_are_nobodys(
    satellite: Satellite, live: DeploymentHandle, models: Any, callers: Load
) -> None:
    before = callers.seen()
    live.update(models("shadow", expression=FAILING), mirror=True).wait(60)
    until(lambda: sum(callers.since(before).values()) > 100, what="further answers")
    assert len(callers.since(before)) == 1
    assert serving(satellite) == 2


def test_a_restart_and_more_replicas_fail_no_request(
    satellite: Satellite, live: DeploymentHandle, callers: Load
) -> None:
    old = {one.pid for one in replicas_under(satellite.data)}
    live.restart().wait(60)
    until(lambda: serving(satellite) == 1, what="the end of the old replica")
    assert not old & {one.pid for one in replicas_under(satellite.data)}
    live.update(parameters={"replicas": 2}).wait(60)
    until(lambda: serving(satellite) == 2, what="two replicas")
    replicas_under(satellite.data)[0].kill()
    until(lambda: serving(satellite) == 2, what="two replicas again")


def test_stopped_and_started(satellite: Satellite, live: DeploymentHandle) -> None:
    live.stop(why="night").wait(60)
    assert serving(satellite) == 0
    live.start().wait(60)
    assert live.compute(BODY["inputs"]) == {"y": [2.0, 4.0]}


def test_a_deployment_follows_its_stage(
    orbit: OrbitHandle, satellite: Satellite, models: Any, platform: Platform
) -> None:
    satellite.start()
    track = orbit.track("doubling")
    first, second = models("first"), models("second")
    track.promote(first, "production", why="the first")
    live = orbit.deploy(track="doubling", stage="production", follow=True, name="doubling").wait(60)
    with load(live.url, platform.cast.alice.api_key, BODY) as callers:
        track.promote(second, "production", why="the second")
        until(lambda: live.reload().data.artifact_id == second.id, what="the next revision")
        live.wait(60)
    assert callers.failures == []


def test_new_values_of_secrets_reach_what_runs(orbit: OrbitHandle, satellite: Satellite, tmp_path: Path) -> None:
    satellite.start()
    secret = orbit.client.secrets.create(*orbit.ids, name="token", value="old").id
    expression = "{'y': [float(len(dynamic_attributes['token'])), float(len(__import__('os').environ['TOKEN']))]}"
    model = orbit.upload(write_model(tmp_path / "m.luml", expression=expression, attributes=("token",)))
    live = model.deploy(secrets={"TOKEN": "token"}, attribute_secrets={"token": "token"}).wait(60)
    assert live.compute(BODY["inputs"]) == {"y": [3.0, 3.0]}
    orbit.client.secrets.update(*orbit.ids, secret, value="newer")
    until(lambda: live.compute(BODY["inputs"]) == {"y": [5.0, 5.0]}, 60, "the new value")

    model = orbit.upload(
        write_model(tmp_path / "n.luml", expression=expression.replace("TOKEN", "PATH"), attributes=("token",))
    )
    other = model.deploy(name="other", attribute_secrets={"token": "token"}).wait(60)
    replica = {one.pid for one in replicas_under(satellite.data)}
    orbit.client.secrets.update(*orbit.ids, secret, value="newest")
    until(lambda: other.compute(BODY["inputs"])["y"][0] == 6.0, 60, "the new value")
    assert {one.pid for one in replicas_under(satellite.data)} & replica, "no restart for what is handed to requests"


def test_what_nobody_calls_sleeps_until_somebody_does(
    satellite: Satellite, live: DeploymentHandle, platform: Platform
) -> None:
    live.update(parameters={"idle_seconds": 1}).wait(60)
    until(lambda: serving(satellite) == 0, 60, "the sleep")
    assert live.reload().data.status == "active"
    assert live.compute(BODY["inputs"]) == {"y": [2.0, 4.0]}
    assert serving(satellite) == 1
    until(lambda: serving(satellite) == 0, 60, "the next sleep")
    with load(live.url, platform.cast.alice.api_key, BODY) as callers:
        until(lambda: callers.count() > 100, 60, "answers")
    assert callers.failures == []
    live.update(parameters={}).wait(60)
    until(lambda: serving(satellite) == 1, what="the end of the sleeping revision's replica")
