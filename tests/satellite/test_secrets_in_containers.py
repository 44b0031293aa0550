"""Secrets of a deployment, looked for in everything that an engine tells of its container."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from satellite.runtimes.docker import DockerRuntime
from tests.satellite.contract_server import until
from tests.satellite.engine import open_engine
from tests.satellite.test_runtimes import Spec, compute, observed, open_runtime, spec, url_when

pytestmark = pytest.mark.docker
__all__ = ["spec"]
SECRETS, ATTRIBUTES = {"KEY": "hush-variable"}, {"key": "hush-attribute"}
LENGTHS = "{'y': np.array([float(len(os.environ['KEY'])), float(len(dynamic_attributes['key']))])}"


@pytest.fixture
def engine() -> Iterator[Any]:
    with open_engine() as client:
        yield client


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[DockerRuntime]:
    made = open_runtime("docker", tmp_path / "data")
    assert isinstance(made, DockerRuntime)
    yield made
    made.close(stop_replicas=True)


def test_the_engine_tells_no_secret(runtime: DockerRuntime, spec: Spec, engine: Any) -> None:
    began = int(time.time())
    replica = spec(LENGTHS, secrets=SECRETS, attributes=ATTRIBUTES)
    runtime.ensure_running(replica)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [13.0, 14.0]}
    container = runtime.find(replica.key)
    container.exec_run(["true"])
    told = [container.attrs, container.top(), list(engine.events(since=began, until=int(time.time()) + 1, decode=True))]
    assert replica.key in json.dumps(told)
    assert "hush" not in json.dumps(told) + container.logs().decode()
    assert b"hush" not in container.exec_run(["env"]).output


def test_a_replica_sees_its_own_handover_only_and_cannot_change_it(runtime: DockerRuntime, spec: Spec) -> None:
    mine, other = spec(secrets=SECRETS), spec(secrets={"KEY": "hush-other"})
    for replica in (mine, other):
        runtime.ensure_running(replica)
        url_when(runtime, replica.key)
    container = runtime.find(mine.key)
    assert b"hush-other" not in container.exec_run(["sh", "-c", "grep -rs . /handover /run /tmp"]).output
    assert container.exec_run(["sh", "-c", "echo x > /handover/environment.json"]).exit_code != 0
    assert container.exec_run(["sh", "-c", "rm /handover/environment.json"]).exit_code != 0


def test_the_engine_may_start_a_container_again_while_the_satellite_is_away(runtime: DockerRuntime, spec: Spec) -> None:
    replica = spec(LENGTHS, secrets=SECRETS, attributes=ATTRIBUTES)
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    runtime.find(replica.key).restart(timeout=0)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [13.0, 14.0]}


def test_after_a_restart_of_the_machine_the_satellite_hands_over_anew(runtime: DockerRuntime, spec: Spec) -> None:
    """Memory is empty then, and the engine refuses to start what lacks a folder."""
    replica = spec(LENGTHS, secrets=SECRETS, attributes=ATTRIBUTES)
    runtime.ensure_running(replica)
    url_when(runtime, replica.key)
    runtime.find(replica.key).kill()
    shutil.rmtree(runtime.handovers.folder)
    assert not runtime.refresh_attributes(replica.key, ATTRIBUTES)
    with pytest.raises(Exception, match="bind source path does not exist"):
        runtime.find(replica.key).start()

    def back() -> Any:
        runtime.ensure_running(replica)
        seen = observed(runtime, replica.key)
        return seen and seen.phase == "running"

    until(back)
    assert compute(url_when(runtime, replica.key), [1]) == {"y": [13.0, 14.0]}
