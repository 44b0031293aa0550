"""A whole satellite against a platform over HTTP: jobs in, predictions out, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from satellite.daemon import Daemon
from tests.satellite.contract_server import API_KEY, ContractServer, until
from tests.satellite.models import write_model

Start = Callable[..., Daemon]


def compute(url: str, x: Any, key: str = API_KEY) -> httpx.Response:
    return httpx.post(url, json={"inputs": {"x": x}}, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def active(server: ContractServer, deployment_id: str) -> str:
    """Wait until a deployment serves; returns its address."""
    until(lambda: server.status(deployment_id) == "active", what="active")
    return server.deployments[deployment_id]["inference_url"]


def replicas_under(folder: Path) -> list[psutil.Process]:
    """Processes of this machine that belong to a satellite's folder, without the children of one another."""
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    pids = {process.pid for process in found}
    return [process for process in found if process.info["ppid"] not in pids]


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_a_deploy_job_ends_in_predictions(platform: ContractServer, model: Path, start_daemon: Start) -> None:
    start_daemon(platform)
    deployment_id = platform.deploy(platform.add_model(model))
    url = active(platform, deployment_id)

    answer = compute(url, [1, 2.5])

    assert answer.json() == {"y": [2.0, 5.0]}
    assert len(answer.headers["X-Model-Digest"]) == 64
    until(lambda: platform.task_of(deployment_id, "deploy")["status"] == "done")
    schemas = platform.deployments[deployment_id]["schemas"]
    assert list(schemas["paths"]) == [f"/deployments/{deployment_id}/compute"]
    assert platform.paired
    able = platform.paired["capabilities"]["deploy"]
    assert (able["version"], able["runtime"]) == (1, "process")
    assert able["runtime_reason"] == "models run as processes of this machine, as was asked for"


def test_an_undeploy_job_leaves_nothing(
    platform: ContractServer, model: Path, start_daemon: Start, tmp_path: Path
) -> None:
    start_daemon(platform)
    deployment_id = platform.deploy(platform.add_model(model))
    url = active(platform, deployment_id)

    platform.undeploy(deployment_id)

    until(lambda: platform.task_of(deployment_id, "undeploy")["status"] == "done")
    assert deployment_id not in platform.deployments
    until(lambda: compute(url, [1]).status_code == 404)
    assert replicas_under(tmp_path / "satellite") == []


def test_a_stopped_satellite_leaves_no_process(
    our_platform: ContractServer, model: Path, start_daemon: Start, tmp_path: Path
) -> None:
    others = children()  # a browser that other tests share, say
    daemon = start_daemon(our_platform)
    url = active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    assert compute(url, [1]).status_code == 200
    assert children() - others

    daemon.stop()

    assert replicas_under(tmp_path / "satellite") == []
    assert children() - others == set()


def test_a_model_that_fails_to_load_is_reported_once_with_its_traceback(
    our_platform: ContractServer, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    broken = write_model(tmp_path / "broken.luml", warmup="raise ValueError('no weights')")
    deployment_id = our_platform.deploy(our_platform.add_model(broken))

    until(lambda: our_platform.status(deployment_id) == "failed")
    until(lambda: our_platform.task_of(deployment_id, "deploy")["status"] == "failed")

    message = our_platform.deployments[deployment_id]["error_message"]
    assert message["reason"] == "The model failed to load"
    assert "ValueError: no weights" in message["error"]
    assert our_platform.task_of(deployment_id, "deploy")["result"] == message


def test_a_new_revision_takes_over_without_a_failed_request(
    our_platform: ContractServer, model: Path, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    triple = write_model(tmp_path / "triple.luml", "{'y': inputs['x'] * 3}")
    our_platform.revise(deployment_id, our_platform.add_model(triple))

    answers = []

    def tripled() -> bool:
        answers.append(compute(url, [1]))
        return bool(answers[-1].json() == {"y": [3.0]})

    until(tripled)

    assert {answer.status_code for answer in answers} == {200}
    until(lambda: len(replicas_under(tmp_path / "satellite")) == 1)


def test_a_failing_revision_leaves_the_old_one_serving(
    our_platform: ContractServer, model: Path, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    broken = write_model(tmp_path / "broken.luml", warmup="raise ValueError('no weights')")
    our_platform.revise(deployment_id, our_platform.add_model(broken))

    until(lambda: our_platform.deployments[deployment_id].get("error_message"))

    assert our_platform.status(deployment_id) == "active"
    assert compute(url, [1]).json() == {"y": [2.0]}


def test_a_killed_replica_comes_back(
    our_platform: ContractServer, model: Path, tmp_path: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    (replica,) = replicas_under(tmp_path / "satellite")

    replica.kill()

    until(lambda: any(report.get("status") == "not_responding" for _, report in our_platform.reports))
    until(lambda: our_platform.status(deployment_id) == "active")
    until(lambda: compute(url, [1]).status_code == 200)


def test_a_killed_gateway_comes_back_on_its_port(
    our_platform: ContractServer, model: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    url = active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    gateways = [p for p in psutil.Process().children() if "satellite.gateway" in p.cmdline()]

    gateways[0].kill()

    def served() -> bool:
        try:
            return compute(url, [1]).status_code == 200
        except httpx.TransportError:
            return False

    until(served)


def test_models_keep_serving_while_the_platform_is_away(
    our_platform: ContractServer, model: Path, start_daemon: Start
) -> None:
    start_daemon(our_platform)
    deployment_id = our_platform.deploy(our_platform.add_model(model))
    url = active(our_platform, deployment_id)
    assert compute(url, [1]).status_code == 200

    our_platform.stop()
    assert compute(url, [1]).status_code == 200
    assert compute(url, [1], key="dfs_never_seen").status_code == 503

    our_platform.restart()
    our_platform.undeploy(deployment_id)
    until(lambda: deployment_id not in our_platform.deployments)
