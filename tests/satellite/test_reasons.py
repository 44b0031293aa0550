"""Why a deployment cannot be served, and what to do: each reason brought about by what really causes it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from satellite import reasons
from satellite.daemon import Daemon
from satellite.reasons import Reason
from satellite.runtimes.choice import choose_runtime
from satellite.runtimes.interface import RuntimeFailure
from satellite.settings import MIB, Limits, Settings, build_environment
from tests.satellite.contract_server import ContractServer, until
from tests.satellite.models import write_model

Start = Callable[..., Daemon]
Told = dict[str, Any]
NOWHERE = "http://127.0.0.1:9/simple"
CAN_INSTALL = {"python_version": "3.11", "build_dependencies": []}


@pytest.fixture
def fails(our_platform: ContractServer, start_daemon: Start, tmp_path: Path) -> Iterator[Callable[..., Told]]:
    """Deploys a model and gives what is told of its failure; `settings` are the satellite's."""

    def deploy(*, settings: Told | None = None, deployment: Told | None = None, **model: Any) -> Told:
        start_daemon(our_platform, **(settings or {}))
        artifact_id = our_platform.add_model(write_model(tmp_path / "m.luml", **model))
        deployment_id = our_platform.deploy(artifact_id, **(deployment or {}))
        until(lambda: our_platform.status(deployment_id) == "failed", 60, "failed")
        message: Told = our_platform.deployments[deployment_id]["error_message"]
        return message

    yield deploy


def is_told(message: Told, reason: Reason, shown: str = "") -> None:
    assert (message["reason"], message["next_step"]) == (reason.text, reason.next_step)
    assert shown in message["error"], message["error"]


@pytest.mark.parametrize(
    ("warmup", "reason", "shown"),
    [
        ("raise ValueError('no weights')", reasons.MODEL_FAILED, "ValueError: no weights"),
        ("import nowhere_to_be_found", reasons.MODULE_MISSING, "nowhere_to_be_found"),
        ("os.environ['API_TOKEN']", reasons.VARIABLE_MISSING, "API_TOKEN"),
        ("{}['API_TOKEN']", reasons.MODEL_FAILED, "API_TOKEN"),
        ("os.kill(os.getpid(), 9)", reasons.KILLED_FROM_OUTSIDE, ""),
        ("print('bye', flush=True), os._exit(7)", reasons.MODEL_ENDED, "bye"),
    ],
)
def test_a_model_that_does_not_load(fails: Callable[..., Told], warmup: str, reason: Reason, shown: str) -> None:
    is_told(fails(warmup=warmup), reason, shown)


def test_a_model_that_wants_more_memory_than_it_may_have(fails: Callable[..., Told]) -> None:
    message = fails(warmup="self.held = np.ones(100 * 2**20)", settings={"limits": Limits(memory=256 * MIB)})
    is_told(message, reasons.OUT_OF_MEMORY, "Unable to allocate")


def test_a_model_that_takes_too_long(fails: Callable[..., Told]) -> None:
    told = fails(warmup="print('thinking', flush=True), time.sleep(100)", settings={"ready_seconds": 1.0})
    is_told(told, reasons.NOT_READY, "thinking")


def test_requirements_that_nobody_can_meet(fails: Callable[..., Told]) -> None:
    env = {**CAN_INSTALL, "dependencies": [{"package": "numpy==0.0.0.1"}]}
    is_told(fails(env=env), reasons.ENVIRONMENT_UNSOLVABLE, "numpy==0.0.0.1")


def test_a_python_that_is_not_to_be_had(fails: Callable[..., Told]) -> None:
    build = {**build_environment(), "UV_PYTHON_DOWNLOADS": "never"}
    env = {"python_version": "3.99.1", "build_dependencies": [], "dependencies": []}
    is_told(fails(env=env, settings={"build": build}), reasons.ENVIRONMENT_NO_PYTHON, "3.99")


def test_an_index_that_does_not_answer(fails: Callable[..., Told], tmp_path: Path) -> None:
    kept = {name: value for name, value in build_environment().items() if "INDEX" not in name}
    build = {**kept, "UV_INDEX_URL": NOWHERE, "UV_CACHE_DIR": str(tmp_path / "uv"), "UV_HTTP_RETRIES": "0"}
    env = {**CAN_INSTALL, "dependencies": [{"package": "toolz==0.12.1"}]}
    is_told(fails(env=env, settings={"build": build}), reasons.ENVIRONMENT_UNREACHABLE)


def test_a_parameter_that_makes_no_sense(fails: Callable[..., Told], our_platform: ContractServer) -> None:
    our_platform.extras = False  # a platform that checks nothing
    told = fails(deployment={"satellite_parameters": {"replicas": "two"}})
    is_told(told, reasons.BAD_PARAMETER, "replicas is 'two'; it must be a whole number")


def test_a_secret_that_is_gone(fails: Callable[..., Told], our_platform: ContractServer) -> None:
    our_platform.extras = False
    told = fails(deployment={"env_variables_secrets": {"API_TOKEN": "no-such-secret"}})
    is_told(told, reasons.SECRET_MISSING, "The secret for API_TOKEN cannot be read")


def test_a_bucket_that_refuses(fails: Callable[..., Told], our_platform: ContractServer) -> None:
    our_platform.bucket_status = 403
    is_told(fails(), reasons.BUCKET_REFUSED, "403")


def test_a_bucket_that_is_away_is_told_and_waited_for(
    our_platform: ContractServer, start_daemon: Start, model: Path
) -> None:
    our_platform.bucket_status = 0
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    row = our_platform.deployments[deployment_id]
    until(lambda: row.get("error_message"), 60)
    is_told(row["error_message"], reasons.BUCKET_AWAY)
    assert row["status"] == "pending"
    our_platform.bucket_status = 200
    until(lambda: row["status"] == "active", 60)
    assert row["error_message"] is None


def test_an_address_that_expired_is_asked_for_anew(
    our_platform: ContractServer, start_daemon: Start, model: Path
) -> None:
    our_platform.bucket_status = 403
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    until(lambda: our_platform.status(deployment_id) == "failed", 60)
    our_platform.bucket_status = 200
    until(lambda: our_platform.status(deployment_id) == "active", 60)


def test_a_kind_of_model_that_is_not_served(
    our_platform: ContractServer, start_daemon: Start, tmp_path: Path, model: Path
) -> None:
    with tarfile.open(model) as tar:
        tar.extractall(tmp_path / "parts", filter="data")
    manifest = tmp_path / "parts" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "variant": "agent"}))
    with tarfile.open(tmp_path / "agent.luml", "w") as tar:
        for path in sorted((tmp_path / "parts").iterdir()):
            tar.add(path, path.name)
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(tmp_path / "agent.luml"))
    until(lambda: our_platform.status(deployment_id) == "failed", 60)
    is_told(our_platform.deployments[deployment_id]["error_message"], reasons.UNSUPPORTED_VARIANT, "'agent'")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk that is small enough to be full")
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk: Path, fails: Callable[..., Told]) -> None:
    weights = {"variant_artifacts/weights": "x" * 2**20}
    is_told(fails(members=weights, settings={"data": small_disk}), reasons.DISK_FULL, "No space left")


def test_a_machine_that_does_not_let_it(our_platform: ContractServer, start_daemon: Start, model: Path) -> None:
    """Something else is where a model is to be written."""
    daemon = start_daemon(our_platform)
    taken = daemon.settings.data / "models" / f"{hashlib.sha256(model.read_bytes()).hexdigest()}.part"
    taken.mkdir()
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    until(lambda: our_platform.status(deployment_id) == "failed", 60)
    is_told(our_platform.deployments[deployment_id]["error_message"], reasons.MACHINE_REFUSED, "directory")


def test_a_runtime_that_was_asked_for_and_is_not_there(settings: Callable[..., Settings], tmp_path: Path) -> None:
    made = Settings("http://127.0.0.1:1", "dfssat_x", tmp_path, runtime="docker", docker_host="unix:///nowhere")
    with pytest.raises(RuntimeFailure) as refused:
        choose_runtime(made)
    assert refused.value.reason is reasons.RUNTIME_MISSING
    assert "no Docker engine answers at unix:///nowhere" in refused.value.error


def test_every_reason_is_a_sentence_with_a_next_step() -> None:
    table = [value for value in vars(reasons).values() if isinstance(value, Reason)]
    assert len(table) > 20
    assert all(one.text[0].isupper() and not one.text.endswith(".") for one in table)
    assert all(one.next_step.endswith((".", ")")) for one in table)
    assert len({one.text for one in table}) == len(table)
