"""Where the images of models come from, and what a container of theirs may do: looked up at the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from satellite import reasons
from satellite.runtimes.docker import DockerRuntime
from satellite.runtimes.interface import RuntimeFailure
from satellite.settings import MIB, Limits, build_environment
from tests.satellite.engine import need_engine, open_engine
from tests.satellite.registry import Registry
from tests.satellite.test_runtimes import Spec, compute, runtime_settings, spec, url_when

pytestmark = pytest.mark.docker
__all__ = ["spec"]
Open = Callable[..., DockerRuntime]


@pytest.fixture
def engine() -> Iterator[Any]:
    with open_engine() as client:
        yield client


@pytest.fixture
def open_runtime(tmp_path: Path) -> Iterator[Open]:
    """Makes runtimes with settings of their own; images of another name than the usual one are removed at the end."""
    made: list[DockerRuntime] = []

    def make(**changes: Any) -> DockerRuntime:
        made.append(DockerRuntime(runtime_settings(tmp_path / "data", need_engine(), **changes)))
        return made[-1]

    yield make
    with open_engine() as client:
        for runtime in made:
            runtime.close(stop_replicas=True)
            if runtime.settings.image != "luml-model-server":
                for image in client.images.list(name=runtime.settings.image):
                    client.images.remove(image.id, force=True)


@pytest.fixture
def registry(engine: Any) -> Iterator[Registry]:
    registry = Registry("robot", "open-sesame")
    yield registry
    registry.stop()
    if found := engine.images.list(name=registry.image.rpartition(":")[0]):
        engine.images.remove(found[0].id, force=True)


def test_a_base_image_is_pulled_with_the_registrys_login(open_runtime: Open, registry: Registry, engine: Any) -> None:
    login = {"registry_user": "robot", "registry_password": "open-sesame"}
    runtime = open_runtime(base_image=registry.image, **login)
    runtime.ensure_base()
    assert engine.images.get(registry.image)
    assert "open-sesame" not in repr(runtime.settings)


def test_a_base_image_that_cannot_be_pulled_is_told(open_runtime: Open, registry: Registry) -> None:
    with pytest.raises(RuntimeFailure) as refused:
        open_runtime(base_image=registry.image, registry_user="robot", registry_password="wrong").ensure_base()
    assert refused.value.reason is reasons.BASE_IMAGE_MISSING
    assert registry.image in refused.value.error
    works, why = open_runtime(base_image=registry.image, registry_user="robot", registry_password="wrong").available()
    assert not works
    assert "cannot be pulled" in why


def test_an_image_that_cannot_be_built_is_told(open_runtime: Open) -> None:
    nowhere = {**build_environment(), "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": ""}
    with pytest.raises(RuntimeFailure) as refused:
        open_runtime(image="luml-broken-test", build=nowhere).ensure_image()
    assert refused.value.reason is reasons.IMAGE_BUILD_FAILED
    assert refused.value.error


def test_an_image_that_was_removed_is_made_anew(open_runtime: Open, spec: Spec, engine: Any) -> None:
    runtime = open_runtime(image="luml-removed-test")
    assert runtime.available()[0]
    engine.images.remove(runtime.tag, force=True)
    replica = spec()
    runtime.ensure_running(replica)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [2.0]}
    runtime.close(stop_replicas=True)


def test_a_gpu_that_the_engine_cannot_give_is_told(open_runtime: Open, spec: Spec) -> None:
    runtime = open_runtime()
    assert runtime.available()[0]
    if runtime.machine().gpus:
        pytest.skip("this machine has GPUs to give")
    replica = spec(limits=Limits(gpus=1))
    with pytest.raises(RuntimeFailure) as refused:
        runtime.ensure_running(replica)
    assert refused.value.reason is reasons.NO_GPU
    assert runtime.observe() == []


def test_a_port_that_is_taken_is_told(open_runtime: Open, spec: Spec) -> None:
    """Replicas take free ports; an engine whose bookkeeping is broken may still refuse one."""
    runtime = open_runtime()
    assert runtime.available()[0]
    replica = spec()
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    container = runtime.find(replica.key)
    port = int(container.attrs["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"])
    second = {
        "image": runtime.tag,
        "name": f"luml-{runtime.satellite}-second",
        "ports": {"8080/tcp": ("127.0.0.1", port)},
    }
    with pytest.raises(RuntimeFailure) as refused:
        runtime.run("second", second)
    assert refused.value.reason is reasons.PORT_TAKEN


def test_a_container_is_confined_as_the_engine_sees_it(open_runtime: Open, spec: Spec) -> None:
    runtime = open_runtime()
    assert runtime.available()[0]
    replica = spec(limits=Limits(memory=512 * MIB, cpus=0.5, pids=77))
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    container = runtime.find(replica.key)
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        512 * MIB,
        512 * MIB,
        5 * 10**8,
        77,
    )
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["ReadonlyRootfs"], host["Init"], list(host["Tmpfs"])) == (True, True, ["/tmp"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    assert {port["HostIp"] for ports in host["PortBindings"].values() for port in ports} == {"127.0.0.1"}
    assert not any(mount["RW"] for mount in container.attrs["Mounts"])
    assert (host["NetworkMode"], host["PidMode"], host["IpcMode"]) == ("default", "", "private")
    assert config["User"] == "10001:10001"
    status = container.exec_run(["cat", "/proc/1/status"]).output.decode()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_a_model_cannot_reach_what_is_not_its_own(open_runtime: Open, spec: Spec) -> None:
    """It looks for the satellite's key and others' secrets, in files and in the processes that it can see."""
    look = (
        "{'y': np.array([float(b'hush-other' in b''.join(open(p, 'rb').read() for p in __import__('glob').glob("
        "'/proc/[0-9]*/environ') if os.access(p, os.R_OK))), float(os.path.exists('/var/run/docker.sock')), "
        "float(len(os.listdir('/handover')))])}"
    )
    runtime = open_runtime()
    assert runtime.available()[0]
    other, spy = spec(secrets={"KEY": "hush-other"}), spec(look, secrets={"KEY": "its own"})
    for replica in (other, spy):
        runtime.ensure_running(replica)
        url_when(runtime, replica.key)
    assert compute(url_when(runtime, spy.key), [1]) == {"y": [0.0, 0.0, 2.0]}
