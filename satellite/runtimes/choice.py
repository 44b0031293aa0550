"""Chooses where models run: in containers where an engine answers, else as processes; and says why."""

from __future__ import annotations

from satellite.machine import Machine
from satellite.reasons import RUNTIME_MISSING
from satellite.runtimes.interface import Runtime, RuntimeFailure
from satellite.runtimes.process import ProcessRuntime
from satellite.settings import Settings


def choose_runtime(settings: Settings) -> tuple[Runtime, str]:
    """Return the runtime and why it is this one; raises RuntimeFailure when the one asked for cannot work."""
    process = ProcessRuntime(settings.data, settings.inherited, settings.build, settings.environment_bytes)
    if settings.runtime == "process":
        return process, f"{process.available()[1]}, as was asked for"
    engine, reason = engine_runtime(settings)
    if engine:
        return engine, reason
    if settings.runtime != "auto":
        raise RuntimeFailure(RUNTIME_MISSING, reason)
    return process, f"models run as processes of this machine, because {reason}"


def docker_image(settings: Settings) -> tuple[str, str, Machine]:
    """The engine's version, how it stands with the model image, and what there is to give to models.

    Looks and makes nothing. Raises RuntimeFailure and Unknown when there is no engine to ask.
    """
    try:
        from satellite.runtimes.docker import DockerRuntime
    except ImportError as error:
        raise RuntimeFailure(RUNTIME_MISSING, "the Docker SDK is not installed (pip install docker)") from error
    runtime = DockerRuntime(settings)
    try:
        return runtime.version(), runtime.image_state(), runtime.machine()
    finally:
        runtime.close(stop_replicas=False)


def engine_runtime(settings: Settings) -> tuple[Runtime | None, str]:
    """The runtime of an engine if it can work here, and the reason. A swarm is used only where it is asked for."""
    try:
        from satellite.runtimes.docker import DockerRuntime
        from satellite.runtimes.swarm import SwarmRuntime
    except ImportError:
        return None, "the Docker SDK is not installed (pip install docker)"
    runtime: Runtime = SwarmRuntime(settings) if settings.runtime == "swarm" else DockerRuntime(settings)
    works, reason = runtime.available()
    if not works:
        runtime.close(stop_replicas=False)
    return (runtime if works else None), reason
