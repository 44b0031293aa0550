"""What services of a swarm are made of, and what a swarm tells of them: pure functions over the engine's own JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from satellite.machine import Machine
from satellite.reasons import KILLED, Ending
from satellite.runtimes.containers import IMAGE_PYTHON, LABEL, SERVER, inside, replica_labels
from satellite.runtimes.interface import Observed, Phase, ReplicaSpec

Raw = dict[str, Any]

SECOND = 10**9
MIB = 1024 * 1024
PORT = 8080
STOP_SECONDS = 12
RESTART_SECONDS = 5
HANDED = "/handed/handover.json"
VOLUME = "/volume"
MODEL = "/run/model"
HANDOVER = "/run/handover"
# The name that Docker's own documentation gives to GPUs in `node-generic-resources`.
GPU = "NVIDIA-GPU"
NO_NODE = "no suitable node"
ELSEWHERE = "node.id!="
OUT_OF_MEMORY = "signal SIGKILL (out of memory)"
# Any answer will do: whether the model is ready is asked from outside, before requests are sent to it, and one that
# failed to load must live long enough to say why. Without the standard library's HTTP client it takes a few ms.
ALIVE = (
    "import socket; s = socket.create_connection(('127.0.0.1', 8080), 5); "
    "s.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n'); assert s.recv(5) == b'HTTP/'"
)


@dataclass(frozen=True)
class Errand:
    """What a replica fetches, and where: sha256 of parcels, the satellite's address, what the node may keep (bytes).

    `python` is the interpreter inside the container; `environment` is empty where the image's own is enough.
    """

    source: str
    model: str
    python: str
    environment: str
    volume_bytes: int

    def parcels(self) -> list[str]:
        """Everything that is fetched."""
        return [one for one in (self.model, self.environment) if one]


def service_name(satellite: str, key: str) -> str:
    """The name of a replica's service. Names of services are short and know no dots; the label has the key itself."""
    return f"luml-{satellite}-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def replica_service(
    spec: ReplicaSpec, satellite: str, image: str, errand: Errand, secret: tuple[str, str],
    constraints: Iterable[str], start_seconds: float,
) -> Raw:  # fmt: skip
    """The arguments of `create_service` for one replica: a service of one task, which the swarm keeps alive.

    `secret` is the id and name of the one with the handover. Nothing of what is returned is secret.
    """
    labels = {**replica_labels(spec, satellite), f"{LABEL}parcels": ",".join(errand.parcels())}
    return {
        "name": service_name(satellite, spec.key),
        "labels": labels,
        "task_template": {
            "ContainerSpec": container(spec, satellite, image, errand, secret, start_seconds),
            "Resources": resources(spec),
            "RestartPolicy": {"Condition": "any", "Delay": RESTART_SECONDS * SECOND},
            "Placement": {"Constraints": list(constraints)},
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
        },
        "mode": {"Replicated": {"Replicas": 1}},
        # On the node itself, not by the routing mesh: one hop less, and the gateway knows which replica it talks to.
        "endpoint_spec": {
            "Mode": "dnsrr",
            "Ports": [{"Protocol": "tcp", "TargetPort": PORT, "PublishMode": "host"}],
        },
    }


def container(
    spec: ReplicaSpec, satellite: str, image: str, errand: Errand, secret: tuple[str, str], start_seconds: float
) -> Raw:
    """The container of a replica: what it may not do is what no container of ours may do."""
    secret_id, secret_name = secret
    return {
        "Image": image,
        "Command": [IMAGE_PYTHON, SERVER, "node"],
        "Args": arguments(spec, errand),
        "Env": [f"{name}={value}" for name, value in {**spec.variables, **OUR_VARIABLES}.items()],
        # Root of the container for as long as it fetches, with no power but to become the model's user; its first
        # process stays root, to pass on signals.
        "User": "0:0",
        "CapabilityDrop": ["ALL"],
        "CapabilityAdd": ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"],
        "ReadOnly": True,
        "Init": True,
        "Mounts": [
            {"Type": "volume", "Source": f"luml-{satellite}", "Target": VOLUME},
            in_memory("/tmp", 1024, 0o1777),  # noqa: S108 (inside the container)
            in_memory("/run", 16, 0o755),
            in_memory("/environments", 1, 0o755),
        ],
        "Secrets": [
            {
                "SecretID": secret_id,
                "SecretName": secret_name,
                "File": {"Name": HANDED, "UID": "0", "GID": "0", "Mode": 0o400},
            }
        ],
        "Healthcheck": {
            "Test": ["CMD", IMAGE_PYTHON, "-I", "-S", "-c", ALIVE],
            "Interval": 3 * SECOND,
            "Timeout": 10 * SECOND,
            "Retries": 10,
            "StartPeriod": int(start_seconds * SECOND),
        },
        "StopGracePeriod": STOP_SECONDS * SECOND,
    }


OUR_VARIABLES = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def arguments(spec: ReplicaSpec, errand: Errand) -> list[str]:
    """The words after `node`: what to fetch, and what to become."""
    environment = ["--environment", errand.environment, "--environment-key", spec.environment.key]
    return [
        *("--source", errand.source, "--replica", spec.key, "--model", errand.model),
        *(environment if errand.environment else ()),
        *("--volume-bytes", str(errand.volume_bytes)),
        "--",
        *(errand.python, SERVER, *spec.arguments(MODEL, HANDOVER), "--host", "0.0.0.0", "--port", str(PORT)),  # noqa: S104 (inside the container)
    ]


def spread(constraints: Iterable[str], taken: set[str], nodes: Iterable[Raw]) -> list[str]:
    """The constraints of a new replica: not on the nodes that have others of its revision, if there are more nodes.

    A swarm spreads the tasks of a service, and we make one service for each replica. The part that is ours is for the
    first start only, and taken off then (`relaxed`): when a node dies, any other one is better than none.
    """
    free = {node["ID"] for node in nodes if is_up(node) and node["Spec"]["Availability"] == "active"} - taken
    return [*constraints, *(f"{ELSEWHERE}{one}" for one in sorted(taken) if free)]


def relaxed(service: Raw, tasks: Iterable[Raw]) -> Raw | None:
    """The arguments of `update_service` that take our part of the constraints off; None where it is not there, or where
    the swarm has not tried yet. A swarm restarts no task for that.
    """
    spec = service["Spec"]
    template, task = spec["TaskTemplate"], current(tasks)
    constraints = (template.get("Placement") or {}).get("Constraints") or []
    kept = [one for one in constraints if not one.startswith(ELSEWHERE)]
    tried = task and (task.get("NodeID") or NO_NODE in task["Status"].get("Err", ""))
    if kept == constraints or not tried:
        return None
    return {
        "service": service["ID"],
        "version": service["Version"]["Index"],
        "name": spec["Name"],
        "labels": spec["Labels"],
        "mode": spec["Mode"],
        "endpoint_spec": spec["EndpointSpec"],
        "task_template": {**template, "Placement": {**template["Placement"], "Constraints": kept}},
    }


def needs_environment(spec: ReplicaSpec, python: str) -> bool:
    """Whether the interpreter is one of the environment, and not the image's own."""
    return python.startswith(inside(spec.environment) + "/")


def in_memory(place: str, mib: int, mode: int) -> Raw:
    """A folder that is gone with the container."""
    return {"Type": "tmpfs", "Target": place, "TmpfsOptions": {"SizeBytes": mib * MIB, "Mode": mode}}


def resources(spec: ReplicaSpec) -> Raw:
    """Limits as everywhere; GPUs are reserved, for the swarm to count them."""
    limits = spec.limits
    wanted = [{"DiscreteResourceSpec": {"Kind": GPU, "Value": limits.gpus}}] if limits.gpus else []
    return {
        "Limits": {"MemoryBytes": limits.memory, "NanoCPUs": int(limits.cpus * 1e9), "Pids": limits.pids},
        "Reservations": {"GenericResources": wanted},
    }


def largest(nodes: Iterable[Raw]) -> Machine:
    """What one replica can have at most: a replica is on one node."""
    found = [node["Description"]["Resources"] for node in nodes if is_up(node)]
    gpus = [
        one["DiscreteResourceSpec"]["Value"]
        for told in found
        for one in told.get("GenericResources") or []
        if one.get("DiscreteResourceSpec", {}).get("Kind") == GPU
    ]
    return Machine(
        memory=max((told["MemoryBytes"] for told in found), default=0),
        cpus=max((told["NanoCPUs"] // SECOND for told in found), default=0),
        gpus=max(gpus, default=0),
    )


def is_up(node: Raw) -> bool:
    """Whether the swarm hears of a node."""
    return bool(node["Status"]["State"] == "ready")


def address_of(node: Raw) -> str:
    """Where a node is reached. A manager that was never told knows of itself only as a manager."""
    told = str(node["Status"].get("Addr", ""))
    if told in {"", "0.0.0.0", "127.0.0.1"} and "ManagerStatus" in node:  # noqa: S104 (compared, not bound)
        told = str(node["ManagerStatus"]["Addr"]).rpartition(":")[0]
    return f"[{told}]" if ":" in told and not told.startswith("[") else told


def current(tasks: Iterable[Raw]) -> Raw | None:
    """The task that counts: the newest that should be there, else the newest."""
    ordered = sorted(tasks, key=lambda task: str(task["CreatedAt"]))
    wanted = [task for task in ordered if task["DesiredState"] in {"running", "ready"}]
    return next(reversed(wanted or ordered), None)


def phase_of(task: Raw | None, node: Raw | None) -> Phase:
    """How a replica is, by its task and the node that has it.

    After an end the swarm makes the next task at once and lets it wait ("ready"): until it is to run, the replica has
    ended, and we say so. A task on a node that the swarm does not hear of runs for nobody.
    """
    if task is None:
        return "starting"
    status = task["Status"]
    if task["DesiredState"] == "ready" or status["State"] in ENDED or NO_NODE in status.get("Err", ""):
        return "exited"
    if status["State"] == "running" and node and is_up(node) and published(task):
        return "running"
    return "starting"


ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}


def published(task: Raw) -> int | None:
    """The port of a task's node at which its model server listens."""
    ports = (task["Status"].get("PortStatus") or {}).get("Ports") or []
    return next((port["PublishedPort"] for port in ports if port["TargetPort"] == PORT), None)


def observed(service: Raw, tasks: Iterable[Raw], nodes: dict[str, Raw], word: str) -> Observed:
    """A replica as the swarm tells of it; `word` is what its door asks for."""
    labels = labels_of(service)
    task = current(tasks)
    node = nodes.get(task.get("NodeID", "")) if task else None
    phase = phase_of(task, node)
    reachable = phase == "running" and task and node
    return Observed(
        key=labels["key"],
        deployment_id=labels["deployment"],
        revision_id=labels["revision"],
        digest=labels["digest"],
        phase=phase,
        url=f"http://{address_of(node)}:{published(task)}/{word}" if reachable and node and task else None,
        environment_key=labels.get("environment", ""),
    )


def labels_of(thing: Raw) -> dict[str, str]:
    """Our labels of a service or a secret."""
    labels = thing["Spec"]["Labels"] or {}
    return {name.removeprefix(LABEL): value for name, value in labels.items() if name.startswith(LABEL)}


def last_end(tasks: Iterable[Raw]) -> Raw | None:
    """The task that ended last, or that cannot begin."""
    over = [task for task in tasks if task["Status"]["State"] in ENDED or task["Status"].get("Err")]
    return max(over, key=lambda task: str(task["CreatedAt"]), default=None)


def ending_of(task: Raw, printed: Iterable[str] = ()) -> Ending:
    """How a task ended. Whether it was for memory a swarm does not tell, but the model server has `printed`."""
    status = task["Status"]
    ran = status.get("ContainerStatus") or {}
    hungry = ran.get("ExitCode") == KILLED and any(line.endswith(OUT_OF_MEMORY) for line in printed)
    return Ending(ran.get("ExitCode"), hungry, refusal="" if ran.get("ContainerID") else status.get("Err", ""))


def has_ended(task: Raw) -> bool:
    """Whether a task is over, or has never begun."""
    return task["Status"]["State"] in {*ENDED, "new", "pending"}
