"""Jobs, leases and the other ways in which a satellite and its platform lose sight of each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from satellite.attempts import Attempts
from satellite.control import AlreadyRunning
from satellite.daemon import Daemon
from satellite.platform import Unauthorized
from satellite.settings import SettingsError, from_environment
from tests.satellite.contract_server import TOKEN, ContractServer, until
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import active, compute, replicas_under

Start = Callable[..., Daemon]


def operators_environment() -> dict[str, str]:
    """This environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LUML_", "SATELLITE_"))}


def slow_model(path: Path, gate: Path) -> Path:
    """A model that loads when a file appears."""
    wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(gate)!r}), True)]"
    return write_model(path, warmup=wait)


def test_a_long_job_keeps_its_lease(our_platform: ContractServer, tmp_path: Path, start_daemon: Start) -> None:
    start_daemon(our_platform, lease_seconds=0.6)
    gate = tmp_path / "gate"
    deployment_id = our_platform.deploy(our_platform.add_model(slow_model(tmp_path / "slow.luml", gate)))
    until(lambda: our_platform.renewals >= 3)
    assert our_platform.task_of(deployment_id, "deploy")["status"] == "running"
    gate.touch()
    until(lambda: our_platform.task_of(deployment_id, "deploy")["status"] == "done")


def test_after_a_lost_lease_nothing_is_reported_for_the_job(
    our_platform: ContractServer, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform, lease_seconds=0.3, workers=1)
    gate = tmp_path / "gate"
    our_platform.lose_leases = True
    deployment_id = our_platform.deploy(our_platform.add_model(slow_model(tmp_path / "slow.luml", gate)))
    lost = our_platform.task_of(deployment_id, "deploy")
    until(lambda: our_platform.leases_lost)
    gate.touch()
    # The reconciler brings the deployment up all the same: jobs are hints.
    until(lambda: our_platform.status(deployment_id) == "active")

    # The only worker takes another job, so it is through with the lost one.
    our_platform.lose_leases = False
    next_task = our_platform.add_task("undeploy", "00000000-0000-0000-0000-000000000000")
    until(lambda: our_platform.tasks[next_task]["status"] == "done")
    assert our_platform.finished == [next_task]
    assert lost["status"] == "running"


def test_a_deployment_without_a_job_is_served(our_platform: ContractServer, model: Path, start_daemon: Start) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    our_platform.tasks.clear()
    assert compute(active(our_platform, deployment_id), [1]).status_code == 200


def test_a_deployment_that_vanished_is_removed(
    our_platform: ContractServer, model: Path, start_daemon: Start, tmp_path: Path
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    active(our_platform, deployment_id)
    del our_platform.deployments[deployment_id]
    until(lambda: not replicas_under(tmp_path / "satellite"))


def test_a_job_for_nothing_is_done(our_platform: ContractServer, start_daemon: Start) -> None:
    start_daemon(our_platform)
    task_id = our_platform.add_task("undeploy", "00000000-0000-0000-0000-000000000000")
    until(lambda: our_platform.tasks[task_id]["status"] == "done")


def test_two_deployments_at_once(our_platform: ContractServer, tmp_path: Path, start_daemon: Start) -> None:
    start_daemon(our_platform)
    models = [write_model(tmp_path / f"{n}.luml", f"{{'y': inputs['x'] * {n}}}") for n in (2, 3)]
    ids = [our_platform.deploy(our_platform.add_model(path)) for path in models]
    assert [compute(active(our_platform, name), [1]).json()["y"] for name in ids] == [[2.0], [3.0]]


def test_secrets_reach_the_model_and_no_report(
    our_platform: ContractServer, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    our_platform.secrets.update(s1="5", s2="7")
    expression = "{'y': np.array([float(os.environ['A']), float(dynamic_attributes['b'])])}"
    path = write_model(tmp_path / "m.luml", expression, attributes=("b",))
    deployment_id = our_platform.deploy(
        our_platform.add_model(path), env_variables_secrets={"A": "s1"}, dynamic_attributes_secrets={"b": "s2"}
    )
    assert compute(active(our_platform, deployment_id), [1]).json() == {"y": [5.0, 7.0]}


def test_the_models_see_nothing_of_the_operators_keys(
    our_platform: ContractServer, tmp_path: Path, satellite_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    satellite_process(
        AWS_SECRET_ACCESS_KEY="aws", GITHUB_TOKEN="git", DATABASE_URL="postgres://", PIP_INDEX_URL="https://u:p@x",
        UV_INDEX_URL="https://u:p@x", OMP_NUM_THREADS="3", LC_ALL="C.UTF-8", no_proxy="localhost",
    )  # fmt: skip
    names = (
        "SATELLITE_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL", "PIP_INDEX_URL", "UV_INDEX_URL",
        "OMP_NUM_THREADS", "LC_ALL", "no_proxy", "PATH",
    )  # fmt: skip
    path = write_model(tmp_path / "m.luml", f"{{'y': np.array([float(name in os.environ) for name in {names}])}}")
    url = active(our_platform, our_platform.deploy(our_platform.add_model(path)))
    assert compute(url, [1]).json() == {"y": [0.0] * 6 + [1.0] * 4}


def test_a_damaged_upload_is_reported(our_platform: ContractServer, model: Path, start_daemon: Start) -> None:
    start_daemon(our_platform)
    artifact_id = our_platform.add_model(model)
    deployment_id = our_platform.deploy(artifact_id)
    our_platform.deployments[deployment_id]["revision"]["digest"] = "0" * 64
    until(lambda: our_platform.status(deployment_id) == "failed")
    assert (
        our_platform.deployments[deployment_id]["error_message"]["reason"]
        == "The model file is not the one that was uploaded"
    )


def test_a_malicious_model_is_reported_by_the_name_of_its_member(
    our_platform: ContractServer, model: Path, start_daemon: Start, tmp_path: Path
) -> None:
    start_daemon(our_platform)
    with tarfile.open(model, "a") as tar:
        tar.addfile(tarfile.TarInfo("variant_artifacts/../../../escaped"))
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    until(lambda: our_platform.status(deployment_id) == "failed")
    message = our_platform.deployments[deployment_id]["error_message"]
    assert message["reason"] == "The model file is not usable"
    assert "'variant_artifacts/../../../escaped'" in message["error"]
    assert not list(tmp_path.rglob("escaped"))


def test_a_model_that_crashes_is_reported_and_tried_again_ever_more_slowly(
    our_platform: ContractServer, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform, reconcile_seconds=0.05)
    starts = tmp_path / "starts"
    crash = f"print('out of memory', flush=True), open({str(starts)!r}, 'a').write('x'), os._exit(9)"
    deployment_id = our_platform.deploy(our_platform.add_model(write_model(tmp_path / "m.luml", warmup=crash)))
    until(lambda: our_platform.status(deployment_id) == "failed")
    message = our_platform.deployments[deployment_id]["error_message"]
    assert message["reason"] == "The model server ended by itself"
    assert "out of memory" in message["error"]

    before = our_platform.rounds
    until(lambda: our_platform.rounds > before + 40)
    assert len(starts.read_text()) <= 5
    until(lambda: len(starts.read_text()) >= 2)


def test_the_pause_between_starts_doubles_up_to_ten_minutes() -> None:
    now = 0.0
    attempts = Attempts(clock=lambda: now)
    pauses = []
    for _ in range(12):
        attempts.note_start("replica")
        started = now
        while not attempts.may_start("replica"):
            now += 1.0
        pauses.append(now - started)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]
    attempts.forget("replica")
    assert attempts.may_start("replica")


def test_a_replica_that_an_earlier_run_has_left_loading_is_not_waited_for_for_ever() -> None:
    now = 0.0
    attempts = Attempts(clock=lambda: now)
    assert attempts.seconds_since("left") == 0.0
    now = 700.0
    assert attempts.seconds_since("left") == 700.0


def test_a_model_that_hangs_is_not_responding_and_comes_back(
    our_platform: ContractServer, model: Path, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    (replica,) = replicas_under(tmp_path / "satellite")

    (worker,) = replica.children()
    worker.suspend()
    until(lambda: our_platform.status(deployment_id) == "not_responding")
    worker.resume()

    until(lambda: our_platform.status(deployment_id) == "active")
    assert compute(url, [1]).json() == {"y": [2.0]}
    assert [process.pid for process in replicas_under(tmp_path / "satellite")] == [replica.pid]


def test_a_refused_key_is_final(our_platform: ContractServer, start_daemon: Start) -> None:
    with pytest.raises(Unauthorized):
        start_daemon(our_platform, token="dfssat_wrong")


def test_two_satellites_do_not_share_a_folder(our_platform: ContractServer, start_daemon: Start) -> None:
    start_daemon(our_platform)
    with pytest.raises(AlreadyRunning):
        start_daemon(our_platform)


def test_missing_settings_are_named() -> None:
    with pytest.raises(SettingsError, match="LUML_ADDRESS"):
        from_environment({})
    with pytest.raises(SettingsError, match="LUML_ADDRESS"):
        from_environment({"LUML_ADDRESS": "luml.example.com", "SATELLITE_TOKEN": "y"})
    given = {"LUML_ADDRESS": "http://x", "SATELLITE_TOKEN": "y"}
    with pytest.raises(SettingsError, match="SATELLITE_RUNTIME"):
        from_environment({**given, "SATELLITE_RUNTIME": "podman"})
    for value in ("http", "-1", "inf", "nan"):
        with pytest.raises(SettingsError, match="SATELLITE_PORT"):
            from_environment({**given, "SATELLITE_PORT": value})


@pytest.fixture
def satellite_process(our_platform: ContractServer, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `python -m satellite`, as an operator would."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**variables: str) -> subprocess.Popen[bytes]:
        env = {
            **operators_environment(), "LUML_ADDRESS": our_platform.url, "SATELLITE_TOKEN": TOKEN,
            "SATELLITE_DATA": str(tmp_path / "satellite"), "SATELLITE_RUNTIME": "process",
            "SATELLITE_RECONCILE_SECONDS": "0.3", **variables,
        }  # fmt: skip
        started.append(subprocess.Popen([sys.executable, "-m", "satellite"], env=env))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(40)


def test_sigterm_ends_everything(
    our_platform: ContractServer, model: Path, tmp_path: Path, satellite_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = satellite_process()
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    active(our_platform, deployment_id)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 3  # the gateway, the replica and its worker

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_sigterm_while_a_model_loads_ends_everything(
    our_platform: ContractServer, tmp_path: Path, satellite_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = satellite_process()
    our_platform.deploy(our_platform.add_model(slow_model(tmp_path / "slow.luml", tmp_path / "never")))
    until(lambda: len(psutil.Process(process.pid).children()) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0
    assert replicas_under(tmp_path / "satellite") == []


def test_sigterm_while_an_environment_is_built_ends_everything(
    our_platform: ContractServer, tmp_path: Path, satellite_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = satellite_process()
    env = {"python_version": "3.11", "dependencies": [{"package": "pandas<2.2"}]}
    deployment_id = our_platform.deploy(our_platform.add_model(write_model(tmp_path / "m.luml", env=env)))
    until(lambda: any(child.name() == "uv" for child in psutil.Process(process.pid).children()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0
    assert replicas_under(tmp_path / "satellite") == []
    assert our_platform.status(deployment_id) == "pending"


def test_after_kill_9_serving_goes_on_and_the_next_run_takes_over(
    our_platform: ContractServer, model: Path, tmp_path: Path, satellite_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first = satellite_process()
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    assert compute(url, [1]).status_code == 200
    (replica,) = replicas_under(tmp_path / "satellite")

    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    assert compute(url, [1]).status_code == 200

    our_platform.paired = None
    second = satellite_process()
    until(lambda: our_platform.paired)
    assert our_platform.paired["base_url"] in url
    until(lambda: our_platform.undeploy(deployment_id) if deployment_id in our_platform.deployments else True)
    until(lambda: deployment_id not in our_platform.deployments)
    until(lambda: not replica.is_running() or replica.status() == psutil.STATUS_ZOMBIE)
    second.terminate()
    assert second.wait(30) == 0
    state = tmp_path / "satellite" / "gateway.json"
    assert not state.exists()


def test_a_missing_setting_is_one_sentence() -> None:
    command = [sys.executable, "-m", "satellite"]
    done = subprocess.run(command, env={"PATH": "/usr/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "LUML_ADDRESS is not set; it must hold the address of the LUML server"


def test_without_an_engine_models_run_as_processes(
    our_platform: ContractServer, model: Path, start_daemon: Start, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("INFO")
    start_daemon(our_platform, runtime="auto", docker_host=f"unix://{tmp_path}/nobody.sock")
    assert "because no Docker engine answers" in caplog.text
    url = active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    assert httpx.get(url.rpartition("/deployments")[0] + "/healthz").json()["status"] == "ok"
    assert json.loads((tmp_path / "satellite" / "routes.json").read_text())["routes"]
