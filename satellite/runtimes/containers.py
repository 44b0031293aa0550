"""What containers are made of, as data: pure functions whose result goes to the Docker SDK as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from satellite.model_server.environment import EnvironmentSpec
from satellite.runtimes.interface import ReplicaSpec

LABEL = "ai.luml."
PORT = "8080/tcp"
MODEL = "/model"
HANDOVER = "/handover"
ENVIRONMENTS = "/environments"
UV_CACHE = ".uv"
WHEELHOUSE = "/wheelhouse"
CERTIFICATE = "/certificates/ca.crt"
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
SERVER = "/app/model_server"
IMAGE_PYTHON = "/opt/luml/bin/python"
# No `noexec`: numba and others compile into the temporary folder.
TMPFS = {"/tmp": "rw,nosuid,nodev,size=1g,mode=1777"}  # noqa: S108 (inside the container)


def inside(environment: EnvironmentSpec) -> str:
    """Where an environment lies in containers: the same place when it is built and when it is used."""
    return f"{ENVIRONMENTS}/{environment.key}"


def container_name(satellite: str, key: str) -> str:
    """The name of a replica's container on this engine."""
    return f"luml-{satellite}-{key}"


def replica_container(
    spec: ReplicaSpec, satellite: str, image: str, python: str, environment: Path, handover: Path
) -> dict[str, Any]:
    """The arguments of `containers.create` for one replica.

    `python` is the interpreter inside the container, `environment` the folder on this machine that it was built in,
    `handover` the one with the replica's secrets. Nothing of what is returned is secret: `docker inspect` shows it all.
    """
    return {
        "image": image,
        "name": container_name(satellite, spec.key),
        "entrypoint": [python, SERVER],
        "command": [*spec.arguments(MODEL, HANDOVER), "--host", "0.0.0.0", "--port", "8080"],  # noqa: S104 (inside)
        "environment": {**spec.variables, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        "labels": replica_labels(spec, satellite),
        "ports": {PORT: ("127.0.0.1", None)},
        "mounts": [
            seen_inside(spec.model, MODEL),
            seen_inside(environment, inside(spec.environment)),
            seen_inside(handover, HANDOVER),
        ],
        "mem_limit": spec.limits.memory,
        "memswap_limit": spec.limits.memory,
        "nano_cpus": int(spec.limits.cpus * 1e9),
        "pids_limit": spec.limits.pids,
        **graphics(spec.limits.gpus),
        "restart_policy": {"Name": "unless-stopped"},
        "detach": True,
        **confinement(),
    }


def seen_inside(folder: Path, place: str) -> dict[str, Any]:
    """A folder of this machine, to be read inside.

    In this form the engine refuses to start a container whose folder is missing (after a restart of the machine, say);
    it would make an empty one for a volume.
    """
    return {"Type": "bind", "Source": str(folder), "Target": place, "ReadOnly": True}


def graphics(count: int) -> dict[str, Any]:
    """The request for GPUs, as `docker run --gpus` makes it."""
    return {"device_requests": [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]} if count else {}


def replica_labels(spec: ReplicaSpec, satellite: str) -> dict[str, str]:
    """Who a container is: everything that is needed to find it again and to know what it serves."""
    return {
        f"{LABEL}satellite": satellite,
        f"{LABEL}key": spec.key,
        f"{LABEL}deployment": spec.deployment_id,
        f"{LABEL}revision": spec.revision_id,
        f"{LABEL}digest": spec.digest,
        f"{LABEL}environment": spec.environment.key,
    }


def confinement() -> dict[str, Any]:
    """What no container of ours may do, and how much it may print."""
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": TMPFS,
        # The first process of a container is deaf to SIGTERM while Python starts; this one passes it on.
        "init": True,
        "log_config": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    }


def builder_container(
    spec: EnvironmentSpec,
    satellite: str,
    image: str,
    environment: Path,
    owner: str,
    build: Mapping[str, str],
    wheelhouse: Path | None = None,
) -> dict[str, Any]:
    """The arguments of `containers.create` for the one-shot container that builds an environment.

    Packages may run code of their own while they are installed, so it sees one folder only, `environment`, and runs
    as its `owner` (uid:gid). `build` are this machine's package index settings; they pass through unchanged, but for
    certificates, whose file is mounted and named anew.
    """
    folder = inside(spec)
    # uv's cache lies on the same disk as the environment, for hard links instead of copies.
    variables = {**build, "UV_CACHE_DIR": f"{folder}/{UV_CACHE}", "UV_PYTHON_INSTALL_DIR": f"{folder}/.pythons"}
    volumes = {str(environment): {"bind": folder, "mode": "rw"}}
    if certificate := certificate_of(build):
        volumes[certificate] = {"bind": CERTIFICATE, "mode": "ro"}
        variables |= dict.fromkeys(CERTIFICATE_VARIABLES, CERTIFICATE)
        variables.pop("SSL_CERT_DIR", None)
    if wheelhouse:
        volumes[str(wheelhouse)] = {"bind": WHEELHOUSE, "mode": "ro"}
        variables["UV_FIND_LINKS"] = WHEELHOUSE
    return {
        "image": image,
        "entrypoint": [IMAGE_PYTHON, SERVER],
        "command": ["environment", "--folder", folder, "--spec", spec.to_json()],
        "environment": variables,
        "labels": {f"{LABEL}satellite": satellite, f"{LABEL}builder": spec.key},
        "volumes": volumes,
        "user": owner,
        "detach": True,
        **confinement(),
    }


def certificate_of(build: Mapping[str, str]) -> str | None:
    """This machine's bundle of certificates, where one is set."""
    return next((build[name] for name in CERTIFICATE_VARIABLES if build.get(name)), None)
