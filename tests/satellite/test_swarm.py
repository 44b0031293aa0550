"""What only a swarm can go through: several machines, one of which dies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from satellite.daemon import Daemon
from satellite.runtimes.interface import Printed
from satellite.runtimes.swarm import SILENT_SECONDS, SwarmRuntime
from tests.satellite.contract_server import ContractServer, until
from tests.satellite.engine import BASE_IMAGE, need_engine
from tests.satellite.load import load
from tests.satellite.models import write_model
from tests.satellite.swarm import Swarm
from tests.satellite.test_end_to_end import API_KEY, active, compute
from tests.satellite.test_runtimes import Spec, open_swarm_runtime, runtime_settings, spec, url_when

pytestmark = pytest.mark.docker
__all__ = ["spec"]
SECRETS, ATTRIBUTES = {"KEY": "hush-variable"}, {"key": "hush-attribute"}
LENGTHS = "{'y': np.array([float(len(os.environ['KEY'])), float(len(dynamic_attributes['key']))])}"
BODY = {"inputs": {"x": [1.0, 2.0]}}


@pytest.fixture
def runtime(swarm: Swarm, tmp_path: Path) -> Iterator[Any]:
    made = open_swarm_runtime(tmp_path / "data", swarm)
    yield made
    made.close(stop_replicas=True)


@pytest.fixture
def start(swarm: Swarm, start_daemon: Callable[..., Daemon]) -> Callable[..., Daemon]:
    """Starts satellites that use the swarm."""

    def on_swarm(server: ContractServer, **changes: Any) -> Daemon:
        values = {"runtime": "swarm", "docker_host": swarm.one.host, "nodes_address": swarm.machine}
        return start_daemon(server, base_image=BASE_IMAGE, **(values | changes))

    return on_swarm


def addresses(runtime: SwarmRuntime) -> list[str]:
    """The nodes on which replicas run."""
    return sorted(str(httpx.URL(one.url).host) for one in runtime.observe() if one.url)


def tasks_of(swarm: Swarm, deployment_id: str) -> list[dict[str, Any]]:
    with swarm.one.client() as one:
        return list(one.api.tasks(filters={"label": f"ai.luml.deployment={deployment_id}"}))


def places(swarm: Swarm, deployment_id: str) -> list[str]:
    """The nodes on which replicas run, of those that the swarm hears of."""
    with swarm.one.client() as one:
        up = {node["ID"]: node["Status"]["Addr"] for node in one.api.nodes() if node["Status"]["State"] == "ready"}
    running = [task for task in tasks_of(swarm, deployment_id) if task["Status"]["State"] == "running"]
    return sorted(up[task["NodeID"]] for task in running if task["NodeID"] in up and task["DesiredState"] == "running")


def test_replicas_of_a_revision_are_on_different_nodes_and_free_to_move(
    runtime: SwarmRuntime, spec: Spec, swarm: Swarm
) -> None:
    for index in range(2):
        replica = spec(deployment="apart", index=index)
        runtime.ensure_running(replica)
    until(lambda: addresses(runtime) == [swarm.one.address, swarm.two.address], 60)
    before = {task["ID"] for task in runtime.tasks()}
    runtime.trim()
    kept = [one["Spec"]["TaskTemplate"]["Placement"].get("Constraints") or [] for one in runtime.api.services()]
    assert kept == [[], []]
    third = spec(deployment="apart", index=2)
    runtime.ensure_running(third)
    url_when(runtime, third.key)
    assert before < {task["ID"] for task in runtime.tasks()}
    assert {task["DesiredState"] for task in runtime.tasks()} == {"running"}


def test_the_engines_tell_no_secret(runtime: SwarmRuntime, spec: Spec, swarm: Swarm) -> None:
    began = int(time.time())
    replicas = [
        spec(LENGTHS, deployment="hush", index=index, secrets=SECRETS, attributes=ATTRIBUTES) for index in (0, 1)
    ]
    for replica in replicas:
        runtime.ensure_running(replica)
        url = url_when(runtime, replica.key)
        assert compute(f"{url}/compute", [1]).json() == {"y": [13.0, 14.0]}
    told: list[Any] = [runtime.api.services(), runtime.tasks(), runtime.api.secrets()]
    for node in (swarm.one, swarm.two):
        with node.client() as client:
            (container,) = client.containers.list()
            told += [container.attrs, container.top()]
            told += client.events(since=began, until=int(time.time()) + 1, decode=True)
            assert b"hush" not in container.exec_run(["env"]).output
            assert b"hush" not in container.logs()
    assert replicas[0].key in json.dumps(told)
    assert "hush-" not in json.dumps(told)
    for replica in replicas:
        runtime.ensure_absent(replica.key)
    assert runtime.api.secrets() == []


def test_a_model_is_nobody_in_its_container(runtime: SwarmRuntime, spec: Spec) -> None:
    """It can change neither what its node keeps nor what it was handed, nor read the token for the depot."""
    tries = (
        "[os.getuid(), int(any(os.access(place, os.W_OK) for place in ('/volume', '/run', '/run/handover',"
        " '/run/model', '/environments', '/handed/handover.json'))), int(os.access('/handed/handover.json', os.R_OK)),"
        " int(os.access('/volume', os.R_OK)), int(open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0]),"
        " int(open('/proc/self/status').read().split('CapEff:')[1].split()[0], 16)]"
    )
    replica = spec(f"{{'y': np.array({tries}, dtype=float)}}", secrets=SECRETS)
    runtime.ensure_running(replica)
    assert compute(f"{url_when(runtime, replica.key)}/compute", [1]).json() == {"y": [10001.0, 0.0, 0.0, 0.0, 1.0, 0.0]}


def test_who_does_not_know_the_word_is_told_nothing(runtime: SwarmRuntime, spec: Spec) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    address, _, word = url_when(runtime, replica.key).rpartition("/")
    assert httpx.get(f"{address}/{word}/healthz").status_code == 200
    for path in ("healthz", "manifest", "", word, f"{word[:-1]}x/healthz", f"x{word}/healthz", "v2/health/live"):
        assert httpx.get(f"{address}/{path}").status_code == 404, path
    assert httpx.post(f"{address}/compute", json=BODY).status_code == 404


def test_what_a_replica_prints_is_followed_wherever_it_runs(runtime: SwarmRuntime, spec: Spec) -> None:
    replica = spec("print('computing', flush=True) or {'y': inputs['x']}", warmup="print('loading', flush=True)")
    runtime.ensure_running(replica)
    seen: list[Printed] = []

    def follow(position: str) -> None:
        for batch in runtime.printed(replica.key, position, threading.Event()):
            seen.extend(batch)

    def lines() -> list[bytes]:
        return [one.line for one in seen]

    url = url_when(runtime, replica.key)
    first = threading.Thread(target=follow, args=("",))
    first.start()
    until(lambda: b"loading" in lines())
    assert compute(f"{url}/compute", [1]).status_code == 200
    until(lambda: b"computing" in lines())
    time.sleep(SILENT_SECONDS)  # a silence is no end
    compute(f"{url}/compute", [1])
    until(lambda: lines().count(b"computing") == 2)
    assert lines().count(b"loading") == 1
    assert {one.stream for one in seen} == {"stdout"}
    runtime.ensure_absent(replica.key)
    first.join(30)
    assert not first.is_alive()


def test_a_replica_is_told_to_end_and_is_not_killed(runtime: SwarmRuntime, spec: Spec, swarm: Swarm) -> None:
    replica = spec(warmup="__import__('atexit')")
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    (task,) = runtime.tasks(replica.key)
    container_id = task["Status"]["ContainerStatus"]["ContainerID"]
    nodes = {node["ID"]: node["Status"]["Addr"] for node in runtime.api.nodes()}
    place = swarm.one if nodes[task["NodeID"]] == swarm.one.address else swarm.two
    with place.client() as client:
        began = time.time()
        runtime.ensure_absent(replica.key)
        died = client.events(
            since=int(began),
            until=int(time.time()) + 1,
            decode=True,
            filters={"container": container_id, "event": "die"},
        )
        assert [event["Actor"]["Attributes"]["exitCode"] for event in died] == ["0"]


def test_what_a_start_left_that_was_cut_short_is_removed(runtime: SwarmRuntime, spec: Spec) -> None:
    lost, kept = spec(deployment="lost"), spec(deployment="kept")
    runtime.secret(lost)
    runtime.ensure_running(kept)
    runtime.trim()
    assert [one["Spec"]["Labels"]["ai.luml.key"] for one in runtime.api.secrets()] == [kept.key]
    runtime.ensure_running(lost)
    url_when(runtime, lost.key)


def test_a_node_that_lacks_the_image_is_the_reason(
    our_platform: ContractServer, model: Path, swarm: Swarm, start: Callable[..., Daemon]
) -> None:
    start(our_platform, constraints=("node.role==worker",), ready_seconds=30.0)
    with swarm.two.client() as two:
        images = [tag for image in two.images.list() for tag in image.tags]
        for tag in images:
            two.images.get(tag).tag("kept", "away")
            two.images.remove(tag, force=True)
        try:
            deployment_id = our_platform.deploy(our_platform.add_model(model))
            until(lambda: our_platform.status(deployment_id) == "failed", 60)
        finally:
            for tag in images:
                two.images.get("kept:away").tag(*tag.split(":"))
    message = our_platform.deployments[deployment_id]["error_message"]
    assert message["reason"] == "A node of the swarm does not have the model image"
    assert "No such image" in message["error"]
    until(lambda: our_platform.status(deployment_id) == "active", 60)


def test_a_new_revision_takes_over_without_a_failed_request(
    our_platform: ContractServer, tmp_path: Path, swarm: Swarm, start: Callable[..., Daemon]
) -> None:
    first, second = (write_model(tmp_path / f"{n}.luml", f"{{'y': inputs['x'] * {n}}}") for n in (2, 3))
    start(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(first), satellite_parameters={"replicas": 2})
    url = active(our_platform, deployment_id)
    with load(url, API_KEY, BODY) as callers:
        until(lambda: callers.count() > 50)
        our_platform.revise(deployment_id, our_platform.add_model(second))
        our_platform.add_task("deploy", deployment_id)
        until(lambda: compute(url, [1]).json() == {"y": [3.0]}, 60)
        until(lambda: len([one for one in tasks_of(swarm, deployment_id) if one["DesiredState"] == "running"]) == 2, 60)
        before = callers.count()
        until(lambda: callers.count() > before + 100)
    assert callers.failures == []
    assert callers.answered > 150


@pytest.mark.slow
def test_when_a_node_dies_its_replicas_start_on_another(
    our_platform: ContractServer, model: Path, swarm: Swarm, start: Callable[..., Daemon]
) -> None:
    start(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model), satellite_parameters={"replicas": 2})
    url = active(our_platform, deployment_id)
    assert places(swarm, deployment_id) == [swarm.one.address, swarm.two.address]
    try:
        with load(url, API_KEY, BODY) as callers:
            until(lambda: callers.count() > 50)
            swarm.two.kill()
            until(lambda: places(swarm, deployment_id) == [swarm.one.address] * 2, 90)
            until(lambda: our_platform.status(deployment_id) == "active", 60)
            before = callers.count()
            until(lambda: callers.count() > before + 100)
    finally:
        swarm.two.start(swarm.switch)
        until(lambda: len(swarm.up()) == 2, 60)
    assert callers.failures == []
    assert compute(url, [1]).json() == {"y": [2.0]}
    # What the dead node ran is ended when it comes back, and nothing is moved to it.
    until(lambda: len([one for one in tasks_of(swarm, deployment_id) if one["DesiredState"] == "running"]) == 2)
    with swarm.two.client() as two:
        until(lambda: two.containers.list() == [], 60)


def test_an_engine_without_a_swarm_says_so(tmp_path: Path) -> None:
    runtime = SwarmRuntime(runtime_settings(tmp_path / "data", need_engine()))
    try:
        works, why = runtime.available()
    finally:
        runtime.close(stop_replicas=False)
    assert not works
    assert why == "the engine is in no swarm (docker swarm init makes one)"


def test_a_worker_says_that_it_is_none(tmp_path: Path, swarm: Swarm) -> None:
    runtime = SwarmRuntime(runtime_settings(tmp_path / "data", swarm.two.host))
    try:
        works, why = runtime.available()
    finally:
        runtime.close(stop_replicas=False)
    assert (works, why) == (False, "the engine is a worker of its swarm; the satellite has to run on a manager")
