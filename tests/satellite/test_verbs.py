"""What an operator types beside `run`: status, drain, stop and doctor, against a satellite that really runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from satellite.doctor import clock
from tests.satellite.contract_server import TOKEN, ContractServer, until
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import active, compute, replicas_under
from tests.satellite.test_jobs import operators_environment

Said = subprocess.CompletedProcess[str]


class Operator:
    """Somebody at the machine of a satellite."""

    def __init__(self, platform: ContractServer, data: Path) -> None:
        self.data = data
        self.environment = {
            **operators_environment(), "LUML_ADDRESS": platform.url, "SATELLITE_TOKEN": TOKEN,
            "SATELLITE_DATA": str(data), "SATELLITE_RUNTIME": "process", "SATELLITE_RECONCILE_SECONDS": "0.3",
        }  # fmt: skip
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.daemon = subprocess.Popen([sys.executable, "-m", "satellite"], env=self.environment)
        until(lambda: self.types("status").returncode == 0, 60, "running")

    def types(self, *words: str, **variables: str) -> Said:
        command = [sys.executable, "-m", "satellite", *words]
        return subprocess.run(
            command, env=self.environment | variables, capture_output=True, text=True, timeout=100, check=False
        )

    def findings(self, **variables: str) -> dict[str, dict[str, Any]]:
        told = self.types("doctor", "--json", **variables)
        return {one["what"]: one for one in json.loads(told.stdout)}

    def kill(self) -> None:
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(60)


@pytest.fixture
def operator(our_platform: ContractServer, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(our_platform, tmp_path / "satellite")
    yield operator
    operator.kill()


def test_the_daemon_keeps_its_key_from_others_of_its_user() -> None:
    """What a process that is not to be read says of itself; the kernel then gives its environment to root alone."""
    code = (
        "import ctypes; from satellite.privacy import keep_memory_private as keep; keep(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "0"


def test_status_says_what_is_served(operator: Operator, our_platform: ContractServer, model: Path) -> None:
    assert operator.types("status").returncode == 3
    operator.start()
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    active(our_platform, deployment_id)
    assert "Running since" in operator.types("status").stdout

    def told() -> Any:
        found = json.loads(operator.types("status", "--json").stdout)
        return found if found["deployments"] and not found["working_on"] else None

    found = until(told)
    assert found["running"]["pid"] == operator.daemon.pid if operator.daemon else None
    assert [(one["deployment_id"], one["state"], one["replicas"]) for one in found["deployments"]] == [
        (deployment_id, "ready", 1)
    ]
    assert TOKEN not in operator.types("status", "--json").stdout + operator.types("status").stdout


def test_stop_leaves_nothing_and_says_so(operator: Operator, our_platform: ContractServer, model: Path) -> None:
    operator.start()
    active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    assert operator.types("stop").returncode == 0
    assert operator.daemon and operator.daemon.wait(5) == 0
    assert replicas_under(operator.data) == []
    again = operator.types("stop")
    assert (again.returncode, "No satellite is running" in again.stderr) == (3, True)


def test_a_status_of_somebody_elses_process_is_none(operator: Operator) -> None:
    """After a power cut another process may have the number of the satellite's."""
    operator.data.mkdir()
    state = {
        "pid": 1, "created": 1.0, "satellite_id": "s", "platform_url": "u", "base_url": "b", "runtime": "process",
        "runtime_reason": "r", "since": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    (operator.data / "satellite.json").write_text(json.dumps(state))
    assert operator.types("status").returncode == 3
    assert operator.types("stop").returncode == 3


def test_a_drained_satellite_serves_and_begins_nothing(
    operator: Operator, our_platform: ContractServer, model: Path, tmp_path: Path
) -> None:
    operator.start()
    first = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, first)
    until(lambda: our_platform.task_of(first, "deploy")["status"] == "done")
    assert operator.types("drain").returncode == 0
    second = our_platform.deploy(our_platform.add_model(write_model(tmp_path / "m.luml", "{'y': inputs['x'] * 3}")))
    rounds = our_platform.rounds
    until(lambda: our_platform.rounds > rounds + 3)
    assert (our_platform.status(second), our_platform.task_of(second, "deploy")["status"]) == ("pending", "pending")
    assert compute(url, [1]).json() == {"y": [2.0]}
    for replica in replicas_under(operator.data):
        if "--port-file" in replica.cmdline():
            replica.kill()  # what serves is still looked after
    until(lambda: compute(url, [1]).status_code == 200)
    assert "Draining" in operator.types("status").stdout
    assert operator.types("drain", "--off").returncode == 0
    assert compute(active(our_platform, second), [1]).json() == {"y": [3.0]}


def test_a_drain_waits_for_the_work_in_hand(operator: Operator, our_platform: ContractServer, tmp_path: Path) -> None:
    operator.start()
    gate = tmp_path / "gate"
    slow = write_model(
        tmp_path / "m.luml", warmup=f"[time.sleep(0.05) for _ in iter(lambda: os.path.exists({str(gate)!r}), True)]"
    )
    deployment_id = our_platform.deploy(our_platform.add_model(slow))
    until(lambda: our_platform.task_of(deployment_id, "deploy")["status"] == "running")
    late = operator.types("drain", "--wait", "0.2")
    assert (late.returncode, "still in hand" in late.stderr) == (1, True)
    gate.touch()
    assert operator.types("drain").returncode == 0
    assert our_platform.status(deployment_id) == "active"


def test_the_doctor_finds_a_healthy_satellite_healthy(
    operator: Operator, our_platform: ContractServer, model: Path
) -> None:
    operator.start()
    active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    told = operator.types("doctor")
    assert (told.returncode, "FAIL" in told.stdout) == (0, False), told.stdout
    found = operator.findings()
    assert {
        name: found[name]["state"] for name in ("python", "uv", "disk", "daemon", "platform", "clock", "key", "bucket")
    } == (dict.fromkeys(("python", "uv", "disk", "daemon", "platform", "clock", "key", "bucket"), "ok"))
    assert TOKEN not in told.stdout


@pytest.mark.parametrize(
    ("variables", "what", "said"),
    [
        ({"LUML_ADDRESS": "http://127.0.0.1:9"}, "platform", "does not answer"),
        ({"SATELLITE_TOKEN": "dfssat_wrong"}, "key", "does not know SATELLITE_TOKEN"),
        ({"SATELLITE_TOKEN": ""}, "settings", "SATELLITE_TOKEN is not set"),
        ({"SATELLITE_RUNTIME": "docker", "DOCKER_HOST": "unix:///nowhere"}, "engine", "no Docker engine answers"),
        ({"SATELLITE_HOST": "192.0.2.1"}, "port", "192.0.2.1"),
    ],
)
def test_the_doctor_names_what_is_amiss_and_the_remedy(
    operator: Operator, variables: dict[str, str], what: str, said: str
) -> None:
    assert operator.types("doctor", **variables).returncode == 1
    finding = operator.findings(**variables)[what]
    assert (finding["state"], said in finding["detail"], bool(finding["next_step"])) == ("fail", True, True)


def test_the_doctor_finds_a_port_that_is_taken(operator: Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = operator.findings(SATELLITE_PORT=str(taken.getsockname()[1]))["port"]
    assert (finding["state"], "in use" in finding["detail"]) == ("fail", True)


def test_the_doctor_finds_a_bucket_that_does_not_give(
    operator: Operator, our_platform: ContractServer, model: Path
) -> None:
    artifact_id = our_platform.add_model(model)
    our_platform.deploy(artifact_id)
    our_platform.bucket_status = 403
    finding = operator.findings()["bucket"]
    assert (finding["state"], "403" in finding["detail"]) == ("fail", True)


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (20, "note"), (-600, "fail")])
def test_a_clock_is_judged_by_how_far_it_is_off(off: int, state: str) -> None:
    now = datetime.now(UTC)
    found = clock(
        format_datetime(now.replace(microsecond=500_000), usegmt=True), (now + timedelta(seconds=off)).timestamp()
    )
    assert found.state == state
    assert clock("", now.timestamp()).state == "note"
