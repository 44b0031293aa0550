"""Two whole satellites with one key, on one machine or on two: one works, the other one stands by and takes over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from luml_app.client.http import Client
from luml_app.client.objects import ArtifactHandle, DeploymentHandle
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging import save_model
from luml_app.resources.satellite_logins import make_login
from luml_app.web.house import House
from satellite.runtimes.containers import LABEL
from tests.satellite.contract_server import until
from tests.satellite.engine import BASE_IMAGE, need_engine, open_engine
from tests.satellite.test_end_to_end import replicas_under
from tests.satellite.test_jobs import operators_environment
from tests.satellite.test_with_platform import SAMPLE, Platform, doubles, twice
from tests.serving import RunningServer

LEASE_SECONDS = 3


class Instance:
    """One satellite process with a data folder of its own."""

    def __init__(self, platform: Platform, key: str, data: Path, **variables: str) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        self.environment = {
            **operators_environment(), "LUML_ADDRESS": platform.address, "SATELLITE_TOKEN": key,
            "SATELLITE_DATA": str(data), "SATELLITE_RECONCILE_SECONDS": "0.5", "SATELLITE_RUNTIME": "process",
            "SATELLITE_LEASE_SECONDS": str(LEASE_SECONDS), **variables,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Instance:
        with self.log.open("ab") as printed:
            command = [sys.executable, "-m", "satellite"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=printed, stderr=printed)
        return self

    def kill(self, *, with_all: bool = False) -> None:
        """End it as a power cut does: with `all` that it has started."""
        assert self.process
        left = [*replicas_under(self.data), *self.gateways()] if with_all else []
        self.process.kill()
        self.process.wait()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            assert self.process.wait(60) == 0

    def gateways(self) -> list[psutil.Process]:
        with contextlib.suppress(OSError, psutil.Error, KeyError):
            return [psutil.Process(json.loads((self.data / "gateway.json").read_bytes())["pid"])]
        return []

    @property
    def state(self) -> str:
        """What it says of itself."""
        with contextlib.suppress(OSError):
            told = json.loads((self.data / "satellite.json").read_bytes())
            if self.process and told["pid"] == self.process.pid:
                return "standing by" if told["standing_by"] else "working"
        return "starting"

    def is_(self, state: str) -> None:
        until(lambda: self.state == state, 90, f"{state}: {self.log.read_text()}")

    def serves(self, handle: DeploymentHandle) -> bool:
        """Whether the deployment is reached here."""
        with contextlib.suppress(OSError):
            base_url = json.loads((self.data / "satellite.json").read_bytes())["base_url"]
            now = handle.reload().data
            return bool(base_url) and now.status == "active" and (now.inference_url or "").startswith(base_url)
        return False


@pytest.fixture
def platform(build_house: Callable[..., House], start_server: Callable[..., RunningServer]) -> Platform:
    return Platform(build_house, start_server)


@pytest.fixture
def orbit(platform: Platform) -> Iterator[OrbitHandle]:
    """Alice's orbit."""
    with Client(platform.address, platform.cast.alice.api_key) as client:
        yield client.orbit()


@pytest.fixture
def doubling(orbit: OrbitHandle, tmp_path: Path) -> ArtifactHandle:
    path = tmp_path / "doubling.luml"
    save_model(twice, path, sample=SAMPLE, name="doubling")
    return orbit.upload(path)


@pytest.fixture
def two(platform: Platform, orbit: OrbitHandle, tmp_path: Path) -> Iterator[Callable[..., tuple[Instance, Instance]]]:
    """Makes two instances of one satellite, the first at work and the second standing by."""
    made: list[Instance] = []

    def make(**variables: str) -> tuple[Instance, Instance]:
        created = orbit.client.satellites.create(*orbit.ids, name="pair")
        if variables.pop("direct", ""):
            variables["SATELLITE_DATABASE_URL"] = make_login(platform.server.house.database, str(created.satellite.id))
        made.extend(Instance(platform, created.api_key, tmp_path / name, **variables) for name in ("one", "other"))
        made[0].start().is_("working")
        made[1].start().is_("standing by")
        return made[0], made[1]

    yield make
    for one in made:
        one.stop()
        assert replicas_under(one.data) == []


class Calls:
    """Somebody who calls the deployment again and again at the address that the platform tells; a refusal that a
    caller who asks again would not notice is none.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self.handle, self.addresses, self.stopping = handle, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.stopping.wait(0.05):
            with contextlib.suppress(Exception):
                address = self.handle.orbit.client.deployments.get(*self.handle.ids).inference_url
                if not self.addresses or self.addresses[-1] != address:
                    self.addresses.append(address)

    def __enter__(self) -> Calls:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()


@pytest.mark.parametrize("door", ["rest", "direct"])
def test_one_works_until_it_dies_and_comes_back_to_stand_by(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle, door: str
) -> None:
    """On two machines: the second sees nothing of the first."""
    first, second = two(direct="1" if door == "direct" else "")
    handle = doubling.deploy(satellite="pair").wait(60)
    with Calls(handle) as calls:
        assert doubles(handle)
        assert len(replicas_under(first.data)) == 1
        second_look = time.monotonic() + 2 * LEASE_SECONDS
        until(lambda: time.monotonic() > second_look)
        assert (second.state, replicas_under(second.data), second.gateways()) == ("standing by", [], [])

        first.kill(with_all=True)
        until(lambda: second.serves(handle), 60, "the take-over")
        assert doubles(handle)
        assert len(replicas_under(second.data)) == 1

        first.start().is_("standing by")
        assert doubles(handle)
        assert replicas_under(first.data) == []
    assert len(calls.addresses) == 2, calls.addresses
    assert second.state == "working"

    second.stop()
    until(lambda: first.serves(handle), 60, "the way back")
    assert doubles(handle)


def test_what_a_killed_satellite_has_left_serves_until_the_other_one_does(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle
) -> None:
    first, second = two()
    handle = doubling.deploy(satellite="pair").wait(60)
    first.kill()
    assert doubles(handle)
    # It comes back in the moment when the other one takes over.
    until(lambda: second.state == "working", 60)
    first.start()
    until(lambda: second.serves(handle), 60, "the take-over")
    assert doubles(handle)
    until(lambda: replicas_under(first.data) == [], 60, "the end of what it has left")
    first.is_("standing by")
    until(lambda: first.gateways() == [], 60, "the end of its gateway")
    assert doubles(handle)


def test_a_satellite_that_was_frozen_gives_way_when_it_wakes(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle
) -> None:
    first, second = two()
    handle = doubling.deploy(satellite="pair").wait(60)
    assert first.process
    os.kill(first.process.pid, signal.SIGSTOP)
    assert doubles(handle)
    until(lambda: second.serves(handle), 60, "the take-over")
    os.kill(first.process.pid, signal.SIGCONT)
    first.is_("standing by")
    until(lambda: (replicas_under(first.data), first.gateways()) == ([], []), 60, "the end of all that it ran")
    assert second.serves(handle)
    assert doubles(handle)


def test_a_satellite_that_is_started_again_goes_on_at_once(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle
) -> None:
    first, second = two()
    handle = doubling.deploy(satellite="pair").wait(60)
    (replica,) = replicas_under(first.data)
    first.kill()
    first.start().is_("working")
    assert (replicas_under(first.data), second.state) == ([replica], "standing by")
    assert doubles(handle)


def test_a_restart_of_the_platform_moves_nothing(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle, platform: Platform
) -> None:
    first, second = two()
    handle = doubling.deploy(satellite="pair").wait(60)
    platform.server.stop()
    away = time.monotonic() + 1.5 * LEASE_SECONDS
    until(lambda: time.monotonic() > away)
    platform.restart()
    settled = time.monotonic() + 2 * LEASE_SECONDS
    until(lambda: time.monotonic() > settled)
    assert (first.state, second.state) == ("working", "standing by")
    assert first.serves(handle)


def test_one_that_stands_by_is_stopped_and_looked_at_like_any_other(
    two: Callable[..., tuple[Instance, Instance]],
) -> None:
    _, second = two()
    luml = [sys.executable, "-m", "satellite"]
    told = subprocess.run([*luml, "status"], env=second.environment, capture_output=True, text=True, check=True)
    assert "Standing by" in told.stdout
    subprocess.run([*luml, "stop"], env=second.environment, check=True)
    assert second.process and second.process.wait(10) == 0


@pytest.mark.docker
def test_on_one_engine_there_is_one_set_of_containers(
    two: Callable[..., tuple[Instance, Instance]], doubling: ArtifactHandle
) -> None:
    with open_engine() as engine:
        where = {"SATELLITE_RUNTIME": "docker", "DOCKER_HOST": need_engine(), "SATELLITE_BASE_IMAGE": BASE_IMAGE}
        first, second = two(**where)
        handle = doubling.deploy(satellite="pair").wait(240)
        mine = {"label": f"{LABEL}deployment={handle.data.id}"}

        def containers() -> set[str]:
            return {one.id for one in engine.containers.list(all=True, filters=mine, ignore_removed=True)}

        before = containers()
        assert (len(before), second.state) == (1, "standing by")
        first.kill()
        until(lambda: second.serves(handle), 90, "the take-over")
        until(lambda: len(containers()) == 1 and not containers() & before, 60, "the end of the first container")
        assert doubles(handle)
        after = containers()
        first.start().is_("standing by")
        assert containers() == after
        assert doubles(handle)
