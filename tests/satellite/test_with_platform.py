"""A satellite and the real platform: a saved model is deployed, called and taken down, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
import xgboost

from luml_app.client.http import Client
from luml_app.client.objects import ArtifactHandle, DeploymentHandle
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging import save_model
from luml_app.web.house import House
from satellite.runtimes.containers import LABEL
from tests.cast import Cast, Person, load_cast
from tests.satellite.contract_server import until
from tests.satellite.engine import BASE_IMAGE, need_engine, open_engine
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import replicas_under
from tests.satellite.test_jobs import operators_environment, slow_model
from tests.serving import RunningServer

BuildHouse = Callable[..., House]
SAMPLE = np.array([[1.0, 2.0], [3.0, 4.0]])


class Platform:
    """A real server that can go away and come back at the same address."""

    def __init__(self, build_house: BuildHouse, start_server: Callable[..., RunningServer]) -> None:
        self.build_house, self.start_server = build_house, start_server
        self.server = start_server(build_house(), role="api")
        self.port = self.server.port
        self.address = self.server.address

    @property
    def cast(self) -> Cast:
        return load_cast(self.server.house.database)

    def restart(self) -> None:
        self.server = self.start_server(self.build_house(port=self.port), role="api")
        assert self.server.address == self.address


class Satellite:
    """`python -m satellite` for a satellite of Alice's orbit, as an operator runs it."""

    def __init__(self, platform: Platform, orbit: OrbitHandle, data: Path) -> None:
        self.made = orbit.client.satellites.create(*orbit.ids, name="box")
        self.orbit, self.data = orbit, data
        self.environment = {
            **operators_environment(), "LUML_ADDRESS": platform.address, "SATELLITE_TOKEN": self.made.api_key,
            "SATELLITE_DATA": str(data), "SATELLITE_RECONCILE_SECONDS": "0.5", "SATELLITE_RUNTIME": "process",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def seen(self) -> Any:
        return self.orbit.client.satellites.get(*self.orbit.ids, self.made.satellite.id)

    def start(self, **variables: str) -> None:
        """Start it and wait until it has paired anew."""
        before = self.seen.updated_at
        command = [sys.executable, "-m", "satellite"]
        self.process = subprocess.Popen(command, env=self.environment | variables)
        until(lambda: self.seen.paired and self.seen.updated_at != before, 120, "the pairing")

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            assert self.process.wait(60) == 0

    def api(self, method: str, path: str, **body: Any) -> httpx.Response:
        """What another worker with the same key would ask."""
        headers = {"Authorization": f"Bearer {self.made.api_key}"}
        address = self.environment["LUML_ADDRESS"]
        return httpx.request(method, f"{address}/satellites/v1/{path}", headers=headers, json=body or None)


@pytest.fixture
def platform(build_house: BuildHouse, start_server: Callable[..., RunningServer]) -> Platform:
    return Platform(build_house, start_server)


@pytest.fixture
def orbit(platform: Platform) -> Iterator[OrbitHandle]:
    """Alice's orbit."""
    with Client(platform.address, platform.cast.alice.api_key) as client:
        yield client.orbit()


@pytest.fixture
def satellite(platform: Platform, orbit: OrbitHandle, tmp_path: Path) -> Iterator[Satellite]:
    made = Satellite(platform, orbit, tmp_path / "satellite")
    yield made
    made.stop()
    assert replicas_under(made.data) == []


@pytest.fixture
def doubling(orbit: OrbitHandle, tmp_path: Path) -> ArtifactHandle:
    """A model of our own packaging, uploaded to the built-in store."""
    path = tmp_path / "doubling.luml"
    save_model(twice, path, sample=SAMPLE, name="doubling")
    return orbit.upload(path)


def twice(rows: Any) -> Any:
    return rows * 2


def call(handle: DeploymentHandle, key: str | None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(handle.url, headers=headers, json={"inputs": {}}, timeout=30).status_code


def doubles(handle: DeploymentHandle) -> bool:
    return bool(np.allclose(handle.predict(SAMPLE), SAMPLE * 2))


def gone(handle: DeploymentHandle) -> bool:
    return handle.data.id not in [one.data.id for one in handle.orbit.deployments()]


def test_from_a_saved_model_to_predictions_and_to_nothing(
    platform: Platform, satellite: Satellite, doubling: ArtifactHandle
) -> None:
    satellite.start()
    able = satellite.seen.capabilities["deploy"]
    assert (able["runtime"], bool(able["runtime_reason"])) == ("process", True)

    handle = doubling.deploy(satellite="box").wait(60)

    assert handle.data.status == "active"
    assert handle.url.startswith(satellite.seen.base_url)
    assert list(handle.data.schemas["paths"]) == [f"/deployments/{handle.data.id}/compute"]
    assert doubles(handle)
    assert len(replicas_under(satellite.data)) == 1

    handle.orbit.client.deployments.delete(*handle.ids)

    until(lambda: gone(handle), what="the deletion")
    assert replicas_under(satellite.data) == []
    until(lambda: satellite.api("GET", "tasks?status=done").json()[0]["type"] == "undeploy", what="the job's end")


def test_boosted_trees_from_a_frame_to_predictions(orbit: OrbitHandle, satellite: Satellite) -> None:
    """Categories and missing values, through the bucket and the gateway, in the environment that the file asks for."""
    numbers = np.arange(40)
    rows = pd.DataFrame({"age": np.where(numbers % 5 == 1, np.nan, numbers * 1.5)})
    rows["city"] = pd.Categorical([None if n % 7 == 2 else ["Bern", "Zug"][n % 2] for n in numbers])
    model = xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(rows, numbers % 2)
    stored = orbit.log_model(model, "trees", sample=rows.head(), data=rows)
    satellite.start()
    live = stored.deploy(satellite="box").wait(120)
    answer = live.predict(rows)
    assert answer["prediction"].tolist() == model.predict(rows).tolist()
    wanted = model.predict_proba(rows)
    np.testing.assert_allclose(answer[["probabilities_0", "probabilities_1"]], wanted, rtol=1e-6)


def test_who_may_call(platform: Platform, satellite: Satellite, doubling: ArtifactHandle) -> None:
    satellite.start()
    handle = doubling.deploy().wait(60)
    cast = platform.cast
    # 422: let in, and told what is missing of the inputs.
    allowed: list[tuple[Person, int]] = [(cast.alice, 422), (cast.bob, 422), (cast.charlie, 401)]
    for person, status in allowed:
        assert call(handle, person.api_key) == status, person.name
    for key in (None, "dfs_invented", satellite.made.api_key):
        assert call(handle, key) == 401


def test_a_model_that_fails_tells_its_user_why(orbit: OrbitHandle, satellite: Satellite, tmp_path: Path) -> None:
    satellite.start()
    broken = orbit.upload(write_model(tmp_path / "broken.luml", warmup="raise ValueError('no weights')"))
    handle = broken.deploy()
    until(lambda: handle.reload().data.status == "failed")
    assert handle.data.error_message
    assert "ValueError: no weights" in str(handle.data.error_message)


def test_what_was_deleted_by_force_is_cleaned_up_by_a_satellite_that_was_away(
    satellite: Satellite, doubling: ArtifactHandle
) -> None:
    satellite.start(SATELLITE_STOP_REPLICAS="0")
    handle = doubling.deploy().wait(60)
    satellite.stop()
    (replica,) = replicas_under(satellite.data)

    handle.orbit.client.deployments.force_delete(*handle.ids)
    assert gone(handle)
    assert replica.is_running()

    satellite.start()
    until(lambda: not replica.is_running() or replica.status() == psutil.STATUS_ZOMBIE, what="the replica's end")
    until(lambda: satellite.api("GET", "deployments").json() == [], what="the tombstone's end")
    doubling.delete()


def test_models_serve_while_the_platform_restarts(
    platform: Platform, satellite: Satellite, doubling: ArtifactHandle
) -> None:
    satellite.start()
    handle = doubling.deploy().wait(60)
    assert doubles(handle)

    platform.server.stop()
    assert doubles(handle)
    assert call(handle, platform.cast.bob.api_key) == 503  # a key that was never seen cannot be asked about
    platform.restart()

    assert handle.reload().data.status == "active"
    assert doubles(handle)
    handle.orbit.client.deployments.delete(*handle.ids)
    until(lambda: gone(handle), 60, "the deletion")


def test_a_satellite_that_lost_its_lease_leaves_the_job_to_the_other(
    orbit: OrbitHandle, satellite: Satellite, tmp_path: Path
) -> None:
    satellite.start(SATELLITE_LEASE_SECONDS="1.5")
    gate = tmp_path / "gate"
    handle = orbit.upload(slow_model(tmp_path / "slow.luml", gate)).deploy()
    until(lambda: satellite.api("GET", "tasks?status=running").json(), what="the claim")
    until(lambda: replicas_under(satellite.data), what="the start")

    assert satellite.process
    os.kill(satellite.process.pid, signal.SIGSTOP)
    (task,) = until(lambda: satellite.api("GET", "tasks?status=pending").json(), what="the lease's end")
    claim = satellite.api("POST", f"tasks/{task['id']}/status", status="running", lease_seconds=60)
    assert claim.status_code == 200
    os.kill(satellite.process.pid, signal.SIGCONT)
    gate.touch()

    handle.wait(60)  # the deployment is served all the same: jobs are hints
    token = claim.json()["lease_token"]
    ended = satellite.api("POST", f"tasks/{task['id']}/status", status="done", lease_token=token)
    assert ended.status_code == 200


@pytest.mark.docker
def test_in_containers(orbit: OrbitHandle, satellite: Satellite, doubling: ArtifactHandle) -> None:
    with open_engine() as engine:
        satellite.start(SATELLITE_RUNTIME="docker", DOCKER_HOST=need_engine(), SATELLITE_BASE_IMAGE=BASE_IMAGE)
        able = satellite.seen.capabilities["deploy"]
        assert able["runtime"] == "docker"
        assert "answers and the model image is there" in able["runtime_reason"]
        handle = doubling.deploy().wait(240)
        assert doubles(handle)
        mine = {"label": f"{LABEL}deployment={handle.data.id}"}
        assert len(engine.containers.list(all=True, filters=mine)) == 1
        handle.orbit.client.deployments.delete(*handle.ids)
        until(lambda: gone(handle), 60, "the deletion")
        assert engine.containers.list(all=True, filters=mine) == []
