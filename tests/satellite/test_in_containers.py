"""What only containers can go through: an engine that stops, a crash loop, an image made with a password."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from satellite.daemon import Daemon
from satellite.runtimes.docker import DockerRuntime
from satellite.settings import build_environment
from tests.satellite.contract_server import ContractServer, until
from tests.satellite.engine import BASE_IMAGE, EngineDoor, need_engine, open_engine
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import active, compute
from tests.satellite.test_runtimes import runtime_settings

pytestmark = pytest.mark.docker
Start = Callable[..., Daemon]


@pytest.fixture
def engine() -> Iterator[Any]:
    """The engine, asked by its front door."""
    with open_engine() as client:
        yield client


@pytest.fixture
def door() -> Iterator[EngineDoor]:
    """A side door to the engine, that can be shut. Its path is short: sockets have no long names."""
    host = need_engine()
    with tempfile.TemporaryDirectory(prefix="luml-") as folder:
        door = EngineDoor(Path(folder) / "engine.sock", host)
        yield door
        door.shut()


@pytest.fixture
def start(start_daemon: Start) -> Start:
    def start_in_docker(server: ContractServer, host: str, **changes: Any) -> Daemon:
        return start_daemon(server, docker_host=host, base_image=BASE_IMAGE, **({"runtime": "docker"} | changes))

    return start_in_docker


def containers_of(engine: Any, deployment_id: str) -> list[Any]:
    return list(engine.containers.list(all=True, filters={"label": f"ai.luml.deployment={deployment_id}"}))


def test_auto_takes_the_engine_that_answers(
    our_platform: ContractServer, model: Path, start: Start, engine: Any
) -> None:
    daemon = start(our_platform, need_engine(), runtime="auto")
    assert our_platform.paired and our_platform.paired["capabilities"]["deploy"]["runtime"] == "docker"
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    assert compute(active(our_platform, deployment_id), [1]).json() == {"y": [2.0]}
    daemon.stop()
    assert containers_of(engine, deployment_id) == []


def test_an_engine_that_stops_is_unknown_and_comes_back(
    our_platform: ContractServer,
    model: Path,
    door: EngineDoor,
    start: Start,
    engine: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    daemon = start(our_platform, door.address)
    first, second = (our_platform.deploy(our_platform.add_model(model)) for _ in range(2))
    url = active(our_platform, first)
    active(our_platform, second)
    (container,) = containers_of(engine, first)

    door.shut()
    task_id = our_platform.undeploy(second)
    until(lambda: "The runtime cannot be asked what runs (nothing is changed)" in caplog.text)
    until(lambda: our_platform.tasks[task_id]["status"] == "running" and "must wait" in caplog.text)
    assert compute(url, [1]).json() == {"y": [2.0]}
    assert (our_platform.status(first), our_platform.status(second)) == ("active", "deletion_pending")
    assert len(containers_of(engine, first)) == len(containers_of(engine, second)) == 1

    # As after a restart of the engine, the container listens on another port.
    container.restart(timeout=0)
    door.open()

    until(lambda: second not in our_platform.deployments, 60)
    until(lambda: compute(url, [1]).status_code == 200, 60)
    until(lambda: our_platform.status(first) == "active")
    assert [one.id for one in containers_of(engine, first)] == [container.id]
    assert containers_of(engine, second) == []
    daemon.stop()
    assert containers_of(engine, first) == []


def test_a_model_that_crashes_again_and_again_has_failed(
    our_platform: ContractServer, tmp_path: Path, start: Start
) -> None:
    start(our_platform, need_engine())
    crash = "print('out of memory', flush=True), os._exit(9)"
    deployment_id = our_platform.deploy(our_platform.add_model(write_model(tmp_path / "m.luml", warmup=crash)))
    until(lambda: our_platform.status(deployment_id) == "failed", 60)
    message = our_platform.deployments[deployment_id]["error_message"]
    assert message["reason"] == "The model server ended by itself"
    assert "out of memory" in message["error"]
    assert "luml logs" in message["next_step"]


def test_a_container_that_hangs_is_not_responding_and_comes_back(
    our_platform: ContractServer, model: Path, start: Start, engine: Any
) -> None:
    start(our_platform, need_engine())
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    (container,) = containers_of(engine, deployment_id)
    container.pause()
    until(lambda: our_platform.status(deployment_id) == "not_responding")
    container.unpause()
    until(lambda: our_platform.status(deployment_id) == "active")
    assert compute(url, [1]).json() == {"y": [2.0]}


def test_a_model_sees_no_environment_but_its_own(our_platform: ContractServer, tmp_path: Path, start: Start) -> None:
    start(our_platform, need_engine())
    path = write_model(tmp_path / "m.luml", "{'y': np.array([float(len(os.listdir('/environments')))])}")
    deployments = [our_platform.deploy(our_platform.add_model(path)) for _ in range(2)]
    assert {compute(active(our_platform, one), [1]).json()["y"][0] for one in deployments} == {1.0}


def test_a_password_of_the_package_index_is_nowhere_in_the_image(tmp_path: Path, engine: Any) -> None:
    build = {**build_environment(), "PIP_EXTRA_INDEX_URL": "http://me:open-sesame@127.0.0.1:9/simple"}
    before = {image.id for image in engine.images.list(filters={"dangling": True})}
    runtime = DockerRuntime(runtime_settings(tmp_path / "data", need_engine(), build=build, image="luml-secret-test"))
    try:
        runtime.ensure_image()
        image = engine.images.get(runtime.tag)
        assert "open-sesame" not in str(image.history()) + str(image.attrs)
        for chunk in image.save():
            assert b"open-sesame" not in chunk
        left = {image.id for image in engine.images.list(filters={"dangling": True})} - before
        assert left == set()
    finally:
        runtime.close(stop_replicas=True)
        engine.images.remove(runtime.tag, force=True)
