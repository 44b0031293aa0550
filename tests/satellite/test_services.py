"""Services of a swarm and what a swarm tells of them, without an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from satellite.model_server.environment import EnvironmentSpec
from satellite.reasons import MODEL_ENDED, NO_NODE, NODE_LACKS_IMAGE, of_ending
from satellite.runtimes import services
from satellite.runtimes.interface import ReplicaSpec, replica_key
from satellite.runtimes.services import Errand
from satellite.runtimes.swarm import is_in_registry
from satellite.settings import Limits

SPEC = ReplicaSpec(
    "dep", "rev", Path("/models/abc"), "abc", EnvironmentSpec("3.11"), {"A": "1"}, {"key": "s3cret"},
    Limits(1024, 1.5, 64), secrets={"TOKEN": "s3cret"},
)  # fmt: skip
ERRAND = Errand("https://10.0.0.1:7843", "m" * 64, "/opt/luml/bin/python", "", 1024)


def service(spec: ReplicaSpec = SPEC, errand: Errand = ERRAND) -> dict[str, Any]:
    return services.replica_service(
        spec, "sat", "image:1", errand, ("id1", "luml-secret"), ["node.role==worker"], 600.0
    )


SERVICE = service()
TASK = SERVICE["task_template"]
CONTAINER = TASK["ContainerSpec"]
NODE = {
    "ID": "n1", "Status": {"State": "ready", "Addr": "10.0.0.2"},
    "Description": {"Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30}},
}  # fmt: skip
DOWN = {**NODE, "Status": {"State": "down", "Addr": "10.0.0.2"}}
PORTS = {"Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 32768, "PublishMode": "host"}]}


def task(state: str, desired: str = "running", at: str = "1", **status: Any) -> dict[str, Any]:
    return {
        "ID": f"t{at}", "NodeID": "n1", "DesiredState": desired, "CreatedAt": at, "ServiceID": "s",
        "Status": {"State": state, "PortStatus": PORTS if state == "running" else {}, **status},
    }  # fmt: skip


def observe(*tasks: dict[str, Any], node: dict[str, Any] = NODE) -> tuple[str, str | None]:
    made = {"Spec": {"Labels": SERVICE["labels"]}}
    seen = services.observed(made, tasks, {"n1": node}, "w0rd")
    assert (seen.key, seen.deployment_id, seen.revision_id, seen.digest) == (SPEC.key, "dep", "rev", "abc")
    return seen.phase, seen.url


def test_a_service_is_one_task_that_the_swarm_keeps_alive() -> None:
    assert SERVICE["mode"] == {"Replicated": {"Replicas": 1}}
    assert TASK["RestartPolicy"]["Condition"] == "any"
    assert TASK["Placement"] == {"Constraints": ["node.role==worker"]}


def test_a_replica_is_limited() -> None:
    assert TASK["Resources"]["Limits"] == {"MemoryBytes": 1024, "NanoCPUs": 1_500_000_000, "Pids": 64}
    assert TASK["LogDriver"]["Options"] == {"max-size": "10m", "max-file": "3"}


def test_a_replica_keeps_no_power_but_to_become_another_user() -> None:
    assert CONTAINER["CapabilityDrop"] == ["ALL"]
    assert CONTAINER["CapabilityAdd"] == ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]
    assert CONTAINER["ReadOnly"] is True
    assert {one["Target"] for one in CONTAINER["Mounts"] if one["Type"] == "tmpfs"} == {"/tmp", "/run", "/environments"}


def test_secrets_are_not_in_the_service() -> None:
    assert "s3cret" not in str(SERVICE)
    (secret,) = CONTAINER["Secrets"]
    assert secret["File"] == {"Name": "/handed/handover.json", "UID": "0", "GID": "0", "Mode": 0o400}


def test_gpus_are_reserved() -> None:
    assert TASK["Resources"]["Reservations"] == {"GenericResources": []}
    asked = service(replace(SPEC, limits=Limits(gpus=2)))["task_template"]["Resources"]["Reservations"]
    assert asked == {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 2}}]}


def test_it_fetches_an_environment_only_where_the_image_is_not_enough() -> None:
    assert "--environment" not in CONTAINER["Args"]
    assert not services.needs_environment(SPEC, "/opt/luml/bin/python")
    python = f"/environments/{SPEC.environment.key}/venv/bin/python"
    assert services.needs_environment(SPEC, python)
    words = service(errand=replace(ERRAND, environment="e" * 64, python=python))["task_template"]["ContainerSpec"][
        "Args"
    ]
    assert words[words.index("--environment") + 1] == "e" * 64
    assert words[words.index("--") + 1] == python


def test_names_are_short_enough_for_a_swarm() -> None:
    key = replica_key("0" * 36, "1" * 12, 63)
    assert len(services.service_name("01234567", key)) <= 63
    assert services.service_name("01234567", key) != services.service_name("01234567", key + "0")


def test_a_task_on_a_live_node_runs_at_its_address() -> None:
    assert observe(task("running")) == ("running", "http://10.0.0.2:32768/w0rd")


def test_a_task_on_a_node_that_is_down_does_not_run() -> None:
    assert observe(task("running"), node=DOWN) == ("starting", None)


def test_the_newest_task_that_should_run_counts() -> None:
    lost = task("running", desired="shutdown", at="1")
    assert observe(lost, task("preparing", at="2")) == ("starting", None)
    assert observe(task("failed", desired="shutdown", at="1"), task("running", at="2"))[0] == "running"


def test_between_an_end_and_the_next_start_it_has_ended() -> None:
    assert observe(task("failed", desired="shutdown", at="1"), task("ready", desired="ready", at="2"))[0] == "exited"
    assert observe(task("rejected", at="1"))[0] == "exited"
    assert (
        observe(task("pending", Err="no suitable node (scheduling constraints not satisfied on 2 nodes)"))[0]
        == "exited"
    )
    assert observe(task("pending"))[0] == "starting"
    assert observe()[0] == "starting"


def test_why_a_replica_could_not_begin() -> None:
    def reason(**status: Any) -> Any:
        last = services.last_end([task("rejected", **status)])
        assert last
        return of_ending(services.ending_of(last), "")

    assert reason(Err="No such image: luml-model-server:abc") == NODE_LACKS_IMAGE
    assert reason(Err="no suitable node (insufficient resources on 2 nodes)") == NO_NODE
    ran = {"ContainerID": "c", "ExitCode": 3}
    assert reason(Err="task: non-zero exit (3)", ContainerStatus=ran) == MODEL_ENDED


def test_the_largest_node_bounds_a_replica() -> None:
    gpus = [{"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 2}}]
    resources = {"NanoCPUs": 2_000_000_000, "MemoryBytes": 16 << 30, "GenericResources": gpus}
    other = {**NODE, "Description": {"Resources": resources}}
    found = services.largest([NODE, other])
    assert (found.memory, found.cpus, found.gpus) == (16 << 30, 4, 2)
    assert services.largest([DOWN]).memory == 0


def test_a_manager_that_was_never_told_its_address_is_reached_as_a_manager() -> None:
    manager = {**NODE, "Status": {"State": "ready", "Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "10.0.0.9:2377"}}
    assert services.address_of(manager) == "10.0.0.9"
    assert services.address_of({**NODE, "Status": {"State": "ready", "Addr": "fd00::2"}}) == "[fd00::2]"


def test_only_names_with_a_registry_are_pushed() -> None:
    names = ["luml-model-server", "team/luml", "registry.example.com/luml", "localhost/luml", "box:5000/a/luml"]
    assert [name for name in names if is_in_registry(name)] == names[2:]
