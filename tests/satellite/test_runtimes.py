"""One suite for every runtime: what the satellite may rely on, wherever models run."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from satellite import bundle, reasons
from satellite.health import Prober
from satellite.reasons import Reason
from satellite.runtimes.interface import Observed, ReplicaSpec, Runtime, RuntimeFailure
from satellite.runtimes.process import ProcessRuntime
from satellite.settings import MIB, Limits, Settings, build_environment, inherited_environment
from tests.satellite.contract_server import until
from tests.satellite.engine import BASE_IMAGE, missing, need_engine
from tests.satellite.models import write_model
from tests.satellite.swarm import Swarm, wheels

Spec = Callable[..., ReplicaSpec]
PROBER = Prober()
# A package that is small, pure and never installed with ours.
SMALL_PACKAGE = "toolz==0.12.1"


def runtime_settings(data: Path, host: str = "", **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "platform_url": "http://127.0.0.1:1", "token": "dfssat_x", "data": data, "docker_host": host,
        "base_image": BASE_IMAGE, "inherited": inherited_environment(), "build": build_environment(),
    }  # fmt: skip
    return Settings(**(values | changes))


KINDS = ["process", *(pytest.param(kind, marks=pytest.mark.docker) for kind in ("docker", "swarm"))]


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Runtime]:
    """Opens the runtime, as often as is asked for, on the same data."""
    swarm = request.getfixturevalue("swarm") if request.param == "swarm" else None
    builds = "environment" in request.function.__name__ or "packages" in request.function.__name__
    changes = {"wheelhouse": wheels(), "build": {"UV_OFFLINE": "1"}} if swarm and builds else {}
    return lambda: open_runtime(request.param, tmp_path / "data", swarm, **changes)


@pytest.fixture
def runtime(opened: Callable[[], Runtime]) -> Iterator[Runtime]:
    made = opened()
    yield made
    made.close(stop_replicas=True)


def open_runtime(kind: str, data: Path, swarm: Swarm | None = None, **changes: Any) -> Runtime:
    if kind == "swarm" and swarm:
        return open_swarm_runtime(data, swarm, **changes)
    if kind == "process":
        return ProcessRuntime(data, inherited_environment(), build_environment())
    from satellite.runtimes.docker import DockerRuntime

    made = DockerRuntime(runtime_settings(data, need_engine()))
    works, why = made.available()
    assert works, why
    return made


def open_swarm_runtime(data: Path, swarm: Swarm, **changes: Any) -> Runtime:
    from satellite.runtimes.swarm import SwarmRuntime

    made = SwarmRuntime(runtime_settings(data, swarm.one.host, nodes_address=swarm.machine, **changes))
    works, why = made.available()
    assert works, why
    return made


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """Makes replica specs of small models."""

    def make(expression: str = "{'y': inputs['x'] * 2}", deployment: str = "", **kwargs: Any) -> ReplicaSpec:
        name = uuid.uuid4().hex
        archive = write_model(
            tmp_path / f"{name}.luml", expression, **{k: kwargs.pop(k) for k in ("warmup", "env") if k in kwargs}
        )
        folder = tmp_path / name
        folder.mkdir(mode=0o755)
        bundle.unpack(archive, folder)
        environment = bundle.environment_of(folder)
        return ReplicaSpec(deployment or str(uuid.uuid4()), "r1", folder, "0" * 64, environment, **kwargs)

    return make


def observed(runtime: Runtime, key: str) -> Observed | None:
    return next((replica for replica in runtime.observe() if replica.key == key), None)


def url_when(runtime: Runtime, key: str, state: str = "ready") -> str:
    """The address of a replica once its model server says that it is in a state."""

    def found() -> str | None:
        replica = observed(runtime, key)
        return replica.url if replica and replica.url and PROBER.health(replica.url).state == state else None

    return until(found, 60, f"{key} {state}")


def compute(url: str, x: Any) -> Any:
    return httpx.post(f"{url}/compute", json={"inputs": {"x": x}}, timeout=30).json()


def test_it_is_available_and_says_why(runtime: Runtime) -> None:
    works, why = runtime.available()
    assert works
    assert why


def test_a_started_replica_computes(runtime: Runtime, spec: Spec) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    assert compute(url_when(runtime, replica.key), [1, 2]) == {"y": [2.0, 4.0]}


def test_starting_what_runs_changes_nothing(runtime: Runtime, spec: Spec) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    runtime.ensure_running(replica)
    assert url_when(runtime, replica.key) == url
    assert len(runtime.observe()) == 1


def test_it_observes_who_a_replica_is(runtime: Runtime, spec: Spec) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    seen = observed(runtime, replica.key)
    assert seen is not None
    assert (seen.deployment_id, seen.revision_id, seen.digest) == (replica.deployment_id, "r1", "0" * 64)


def test_what_the_model_prints_is_in_the_logs(runtime: Runtime, spec: Spec) -> None:
    replica = spec(warmup="print('hello from the model')")
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    assert "hello from the model" in until(lambda: runtime.logs(replica.key, 10))


def test_variables_and_attributes_reach_the_model(runtime: Runtime, spec: Spec) -> None:
    expression = (
        "{'y': np.array([float(os.environ[k]) for k in ('FACTOR', 'SECRET')] + [float(dynamic_attributes['a'])])}"
    )
    replica = spec(expression, variables={"FACTOR": "7", "SECRET": "0"}, secrets={"SECRET": "8"}, attributes={"a": "9"})
    runtime.ensure_running(replica)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [7.0, 8.0, 9.0]}


def test_secrets_are_there_before_the_model_is_loaded(runtime: Runtime, spec: Spec) -> None:
    replica = spec(warmup="self.seen = os.environ['SECRET']", secrets={"SECRET": "8"})
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)


def test_changed_attributes_reach_a_running_replica(runtime: Runtime, spec: Spec) -> None:
    replica = spec("{'y': np.array([float(dynamic_attributes['a'])])}", attributes={"a": "1"})
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    pids = replica_pids(runtime, replica)
    assert compute(url, [1]) == {"y": [1.0]}
    assert runtime.refresh_attributes(replica.key, {"a": "2"})
    until(lambda: compute(url, [1]) == {"y": [2.0]}, 10)
    assert replica_pids(runtime, replica) == pids
    assert not runtime.refresh_attributes("no.such.0", {"a": "2"})


def test_secrets_are_seen_by_nobody_outside(runtime: Runtime, spec: Spec) -> None:
    secrets, attributes = {"KEY": "hush-variable"}, {"key": "hush-attribute"}
    replica = spec("{'y': np.array([float(len(os.environ['KEY']))])}", secrets=secrets, attributes=attributes)
    runtime.ensure_running(replica)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [13.0]}
    pids = replica_pids(runtime, replica)
    assert pids
    for pid in pids:
        for name in ("environ", "cmdline"):
            assert b"hush" not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert "hush" not in runtime.logs(replica.key, 100) + str(runtime.observe()) + str(replica)


def test_secrets_are_taken_out_of_what_a_model_prints(runtime: Runtime, spec: Spec) -> None:
    replica = spec(warmup="print('connecting with', os.environ['KEY'])", secrets={"KEY": "hush-variable"})
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    assert "connecting with ***" in until(lambda: runtime.logs(replica.key, 10))
    assert runtime.hide_secrets(replica.key, "no: hush-variable") == "no: ***"


def test_a_replica_gets_no_more_memory_than_it_may_have(runtime: Runtime, spec: Spec) -> None:
    limits = Limits(memory=256 * MIB, cpus=1.0)
    replica = spec(warmup="self.held = np.ones(100 * 2**20)", limits=limits)  # 800 MiB
    runtime.ensure_running(replica)

    def ended() -> Reason | None:
        seen = observed(runtime, replica.key)
        if seen and seen.url and (health := PROBER.health(seen.url)).state == "failed":
            return reasons.of_load(health.error)
        return (ending := runtime.ending(replica.key)) and reasons.of_ending(ending, runtime.logs(replica.key, 5))

    assert until(ended, 60) is reasons.OUT_OF_MEMORY


def test_a_replica_gets_no_more_processors_than_it_may_have(runtime: Runtime, spec: Spec) -> None:
    expression = "{'y': np.array([float(len(os.sched_getaffinity(0)))])}"
    replica = spec(expression, limits=Limits(cpus=1.0))
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    if runtime.name == "process":
        assert compute(url, [1]) == {"y": [1.0]}
    elif runtime.name == "swarm":
        service = runtime.service(replica.key)  # type: ignore[attr-defined]
        assert service["Spec"]["TaskTemplate"]["Resources"]["Limits"]["NanoCPUs"] == 1e9
    else:
        assert runtime.find(replica.key).attrs["HostConfig"]["NanoCpus"] == 1e9  # type: ignore[attr-defined]


def test_nothing_that_was_handed_over_outlives_its_replica(runtime: Runtime, spec: Spec) -> None:
    first, second = spec(secrets={"KEY": "hush-one"}), spec(secrets={"KEY": "hush-two"})
    for replica in (first, second):
        runtime.ensure_running(replica)
    handed: Path = runtime.handovers.folder  # type: ignore[attr-defined]
    assert (handed.stat().st_mode & 0o777, len(list(handed.iterdir()))) == (0o700, 2)
    runtime.ensure_absent(first.key)
    runtime.trim()
    assert [path.name for path in handed.iterdir()] == [second.key]
    runtime.close(stop_replicas=True)
    assert not handed.exists()


def test_a_killed_replica_can_be_started_again(runtime: Runtime, spec: Spec) -> None:
    replica = spec("{'y': np.array([float(os.getpid())])}")
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    model = next(p for p in psutil.process_iter(["cmdline"]) if is_replica(p, runtime, replica))
    os.kill(model.pid, signal.SIGKILL)
    until(lambda: not model.is_running() or model.status() == psutil.STATUS_ZOMBIE)

    def back() -> bool:
        runtime.ensure_running(replica)
        seen = observed(runtime, replica.key)
        return bool(seen and seen.url and PROBER.health(seen.url).state == "ready")

    until(back, 60)


def replica_pids(runtime: Runtime, replica: ReplicaSpec) -> set[int]:
    """All processes of the model server of the replica."""
    return {one.pid for one in psutil.process_iter(["cmdline"]) if is_replica(one, runtime, replica)}


def is_replica(process: psutil.Process, runtime: Runtime, replica: ReplicaSpec) -> bool:
    """Whether a process of this machine is the model server of the replica, in a container or not."""
    arguments = process.info["cmdline"] or []
    if runtime.name == "process":
        return any(replica.key in part for part in arguments)
    return "/app/model_server" in arguments and in_container(process.pid, runtime, replica)


def in_container(pid: int, runtime: Any, replica: ReplicaSpec) -> bool:
    if runtime.name == "swarm":
        return in_task(pid, runtime, replica)
    return runtime.find(replica.key).id in Path(f"/proc/{pid}/cgroup").read_text() or (
        runtime.find(replica.key).attrs["State"]["Pid"] == pid
    )


def in_task(pid: int, runtime: Any, replica: ReplicaSpec) -> bool:
    """Whether a process is the model server of a service; engines of other nodes count processes anew."""
    statuses = [task["Status"].get("ContainerStatus", {}) for task in runtime.tasks(replica.key)]
    place = Path(f"/proc/{pid}/cgroup").read_text()
    return psutil.Process(pid).uids().real != 0 and any(one["ContainerID"] in place for one in statuses if one)


def test_nothing_is_left_of_an_absent_replica(runtime: Runtime, spec: Spec) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    runtime.ensure_absent(replica.key)
    assert runtime.observe() == []
    assert PROBER.health(url).state == "silent"
    assert runtime.logs(replica.key, 10) == ""
    runtime.ensure_absent(replica.key)


def test_a_model_that_cannot_load_says_why(runtime: Runtime, spec: Spec) -> None:
    replica = spec(warmup="raise ValueError('no weights')")
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key, "failed")
    assert "ValueError: no weights" in PROBER.health(url).error
    assert "ValueError: no weights" in runtime.logs(replica.key, 20)


def test_two_replicas_started_at_once_are_two(runtime: Runtime, spec: Spec) -> None:
    replicas = [spec(), spec("{'y': inputs['x'] * 3}")]
    threads = [threading.Thread(target=runtime.ensure_running, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = [compute(url_when(runtime, replica.key), [1]) for replica in replicas]
    assert answers == [{"y": [2.0]}, {"y": [3.0]}]


def test_a_second_run_of_the_satellite_finds_what_the_first_left(
    runtime: Runtime, spec: Spec, opened: Callable[[], Runtime]
) -> None:
    replica = spec()
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    runtime.close(stop_replicas=False)

    second = opened()
    try:
        second.ensure_running(replica)
        assert [seen.url for seen in second.observe()] == [url]
        second.ensure_absent(replica.key)
        assert second.observe() == []
    finally:
        second.close(stop_replicas=True)


def test_a_replica_that_ends_wakes_the_satellite(runtime: Runtime, spec: Spec) -> None:
    woken = threading.Event()
    # The model server is the parent of the process that has the model.
    replica = spec("(os.kill(os.getppid(), 9), time.sleep(60))")
    runtime.watch(woken.set)
    runtime.ensure_running(replica)
    url = url_when(runtime, replica.key)
    woken.clear()
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{url}/compute", json={"inputs": {"x": [1]}}, timeout=30)
    assert woken.wait(20)


def test_a_model_gets_the_packages_it_pins(runtime: Runtime, spec: Spec) -> None:
    env = {"python_version": "3.11", "build_dependencies": [], "dependencies": [{"package": SMALL_PACKAGE}]}
    replica = spec("{'y': np.array([float(__import__('toolz').__version__.replace('.', ''))])}", env=env)
    try:
        runtime.ensure_running(replica)
    except RuntimeFailure as error:
        if "toolz" in error.error and ("connect" in error.error.lower() or "fetch" in error.error.lower()):
            missing(f"no package index can be reached: {error.error[-200:]}")
        raise
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [121.0]}


def test_an_environment_that_cannot_be_built_says_why(runtime: Runtime, spec: Spec) -> None:
    env = {"python_version": "3.11", "build_dependencies": [], "dependencies": [{"package": "numpy==0.0.0.1"}]}
    with pytest.raises(RuntimeFailure, match="numpy"):
        runtime.ensure_running(spec(env=env))
    assert runtime.observe() == []
