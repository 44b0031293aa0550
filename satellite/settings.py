"""What an operator decides about a satellite. The only place that reads the environment."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

RuntimeChoice = Literal["auto", "docker", "process", "swarm"]
# What of the operator's environment a model sees: what libraries need to work, and nothing that may be a key.
INHERITED = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
}  # fmt: skip
INHERITED_PREFIXES = ("LC_", "XDG_", "DYLD_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "VECLIB_")
BUILD_PREFIXES = (
    "PIP_",
    "UV_",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
)
MIB = 1024 * 1024
FIRST_OF_SYSTEMD = 3


class SettingsError(Exception):
    """A setting is missing or cannot be understood; the message names the variable."""


@dataclass(frozen=True)
class Limits:
    """What one replica may use: memory in bytes, processors (fractions allowed), processes and threads, GPUs."""

    memory: int = 2048 * MIB
    cpus: float = 2.0
    pids: int = 512
    gpus: int = 0


@dataclass(frozen=True)
class Settings:
    """All settings; times are seconds, sizes bytes.

    `gateway_port` 0 takes a free port. `listener` is the number of an open file: the socket to listen on, where whoever
    has started the satellite holds it, so that callers wait in it while nobody is there to answer. `base_url` is how
    callers reach the gateway; empty means its own address. `tls_chain` and `tls_key` are PEM files for callers who come
    without a proxy. `held_limit` bounds what all requests together may hold.
    `deployment_log_bytes` is what may be kept of the lines of one deployment, `log_bytes` of all of them.
    `inherited` is what of this process's environment a model may see, `build` what environment builders need
    (package index, proxies, certificates).
    """

    platform_url: str
    token: str = field(repr=False)
    data: Path
    database_url: str = field(default="", repr=False)
    runtime: RuntimeChoice = "auto"
    slug: str | None = None
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 0
    listener: int | None = None
    base_url: str = ""
    tls_chain: str = ""
    tls_key: str = ""
    lease_seconds: float = 30.0
    reconcile_seconds: float = 15.0
    poll_seconds: float = 25.0
    workers: int = 2
    ready_seconds: float = 600.0
    drain_seconds: float = 30.0
    body_limit: int = 64 * MIB
    held_limit: int = 1024 * MIB
    queue_limit: int = 64
    concurrency: int = 16
    request_seconds: float = 60.0
    hold_seconds: float = 10.0
    stale_seconds: float = 3600.0
    fresh_seconds: float = 60.0
    slow_seconds: float = 30.0
    stop_replicas: bool = True
    image: str = "luml-model-server"
    base_image: str = "python:3.11-slim"
    docker_host: str = ""
    registry_user: str = ""
    registry_password: str = field(default="", repr=False)
    nodes_address: str = ""
    constraints: tuple[str, ...] = ()
    wheelhouse: Path | None = None
    cache_bytes: int = 50 * 1024 * MIB
    environment_bytes: int = 50 * 1024 * MIB
    deployment_log_bytes: int = 64 * MIB
    log_bytes: int = 1024 * MIB
    limits: Limits = Limits()
    inherited: Mapping[str, str] = field(default_factory=dict, repr=False)
    build: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def registry_login(self) -> dict[str, str] | None:
        """How the engine signs in where the base image is; None: as Docker's own configuration says."""
        if not self.registry_user:
            return None
        return {"username": self.registry_user, "password": self.registry_password}


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings from environment variables.

    Needed: LUML_ADDRESS (the platform) and SATELLITE_TOKEN (`dfssat_…`). Raises SettingsError for what is missing
    or not understood.
    """
    env = os.environ if environment is None else environment
    runtime = env.get("SATELLITE_RUNTIME", "auto")
    if runtime not in get_args(RuntimeChoice):
        raise SettingsError(f"SATELLITE_RUNTIME is {runtime!r}; it must be one of auto, docker, process, swarm")
    wheelhouse = env.get("SATELLITE_WHEELHOUSE")
    certificate = tls_files(env)
    return Settings(
        platform_url=address(env),
        token=needed(env, "SATELLITE_TOKEN", "the key that was shown when the satellite was created"),
        data=data_folder(env),
        database_url=env.get("SATELLITE_DATABASE_URL", ""),
        runtime=runtime,  # type: ignore[arg-type]  # checked above
        slug=env.get("SATELLITE_SLUG"),
        gateway_host=env.get("SATELLITE_HOST", "127.0.0.1"),
        gateway_port=int(number(env, "SATELLITE_PORT", 0)),
        listener=handed_listener(env),
        base_url=env.get("SATELLITE_BASE_URL", "").rstrip("/"),
        tls_chain=certificate[0],
        tls_key=certificate[1],
        lease_seconds=number(env, "SATELLITE_LEASE_SECONDS", 30.0),
        reconcile_seconds=number(env, "SATELLITE_RECONCILE_SECONDS", 15.0),
        workers=int(number(env, "SATELLITE_WORKERS", 16)),
        ready_seconds=number(env, "SATELLITE_READY_SECONDS", 600.0),
        held_limit=int(number(env, "SATELLITE_HELD_MIB", 1024) * MIB),
        request_seconds=number(env, "SATELLITE_REQUEST_SECONDS", 60.0),
        hold_seconds=number(env, "SATELLITE_HOLD_SECONDS", 10.0),
        stop_replicas=env.get("SATELLITE_STOP_REPLICAS", "1") not in {"0", "false", "no"},
        image=env.get("SATELLITE_IMAGE", "luml-model-server"),
        base_image=env.get("SATELLITE_BASE_IMAGE", "python:3.11-slim"),
        docker_host=env.get("DOCKER_HOST", ""),
        registry_user=env.get("SATELLITE_REGISTRY_USER", ""),
        registry_password=env.get("SATELLITE_REGISTRY_PASSWORD", ""),
        nodes_address=env.get("SATELLITE_NODES_ADDRESS", ""),
        constraints=tuple(env.get("SATELLITE_CONSTRAINTS", "").replace(",", " ").split()),
        wheelhouse=Path(wheelhouse) if wheelhouse else None,
        cache_bytes=int(number(env, "SATELLITE_CACHE_GIB", 50) * 1024 * MIB),
        environment_bytes=int(number(env, "SATELLITE_ENVIRONMENTS_GIB", 50) * 1024 * MIB),
        deployment_log_bytes=int(number(env, "SATELLITE_DEPLOYMENT_LOG_MIB", 64) * MIB),
        log_bytes=int(number(env, "SATELLITE_LOG_MIB", 1024) * MIB),
        limits=Limits(
            memory=int(number(env, "SATELLITE_MEMORY_MIB", 2048)) * MIB,
            cpus=number(env, "SATELLITE_CPUS", 2.0),
            pids=int(number(env, "SATELLITE_PIDS", 512)),
        ),
        inherited=inherited_environment(env),
        build=build_environment(env),
    )


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where the satellite keeps everything; needs no other setting."""
    env = os.environ if environment is None else environment
    return Path(env.get("SATELLITE_DATA") or default_data(env))


def needed(env: Mapping[str, str], name: str, meaning: str) -> str:
    """A variable that has no default."""
    if not env.get(name):
        raise SettingsError(f"{name} is not set; it must hold {meaning}")
    return env[name]


def address(env: Mapping[str, str]) -> str:
    """The platform's address, without a slash at the end."""
    given = needed(env, "LUML_ADDRESS", "the address of the LUML server")
    if not given.startswith(("http://", "https://")):
        raise SettingsError(f"LUML_ADDRESS is {given!r}; an address begins with http:// or https://")
    return given.rstrip("/")


def handed_listener(env: Mapping[str, str]) -> int | None:
    """The socket that systemd (a `.socket` unit) or another supervisor hands to this process, as its number."""
    if number(env, "LISTEN_FDS", 0) >= 1 and env.get("LISTEN_PID") == str(os.getpid()):
        return FIRST_OF_SYSTEMD
    return int(number(env, "SATELLITE_LISTENER", 0)) or None


def tls_files(env: Mapping[str, str]) -> tuple[str, str]:
    """The files of the certificate and its key: both or neither."""
    chain, key = env.get("SATELLITE_TLS_CERT", ""), env.get("SATELLITE_TLS_KEY", "")
    if bool(chain) != bool(key):
        missing = "SATELLITE_TLS_KEY" if chain else "SATELLITE_TLS_CERT"
        raise SettingsError(f"{missing} is not set; a certificate needs both its chain and its key, as PEM files")
    return chain, key


def number(env: Mapping[str, str], name: str, default: float) -> float:
    """A number ≥ 0."""
    try:
        value = float(env.get(name) or default)
    except ValueError:
        raise SettingsError(f"{name} is {env[name]!r}; it must be a number") from None
    if not 0 <= value < math.inf:
        raise SettingsError(f"{name} is {env[name]}; it must be a number from 0 on")
    return value


def default_data(env: Mapping[str, str]) -> Path:
    """The user's data folder."""
    home = env.get("XDG_DATA_HOME") or (f"{env['HOME']}/.local/share" if env.get("HOME") else tempfile.gettempdir())
    return Path(home) / "luml" / "satellite"


def inherited_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a model may see of this environment: a list of names, so that no operator's key is ever among it."""
    env = os.environ if env is None else env
    return {name: value for name, value in env.items() if is_inherited(name.upper())}


def is_inherited(name: str) -> bool:
    """Whether a model may see the variable; `name` in capitals (proxies are often written small)."""
    return name in INHERITED or name.startswith(INHERITED_PREFIXES)


def build_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a builder inside a container is handed: package index, proxies, certificates."""
    env = os.environ if env is None else env
    return {name: value for name, value in env.items() if name.upper().startswith(BUILD_PREFIXES)}
