"""Replicas as containers of the local Docker engine."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from satellite import reasons
from satellite.environments import BuildFailed, EnvironmentCache, EnvironmentSpec
from satellite.instance import instance_id
from satellite.machine import Machine, count_gpus
from satellite.reasons import Ending
from satellite.runtimes import docker_output
from satellite.runtimes.containers import (
    LABEL,
    UV_CACHE,
    builder_container,
    certificate_of,
    container_name,
    replica_container,
)
from satellite.runtimes.docker_observed import observed, our_addresses, shares_our_network
from satellite.runtimes.handover import Handovers, handover_folder
from satellite.runtimes.image import STAGE_LABEL, build_context, image_tag, pip_settings
from satellite.runtimes.interface import FROM_NOW, Observed, Printed, ReplicaSpec, RuntimeFailure, Unknown
from satellite.settings import Settings

log = logging.getLogger("satellite.docker")

STOP_SECONDS = 12
BUILD_SECONDS = 3600
API_SECONDS = 60
SILENT_SECONDS = 300
# The engine knows these arguments by itself, and keeps them out of the image's history.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class DockerRuntime:
    """The runtime that people deploy with. Only this module talks to the engine."""

    name = "docker"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tag = image_tag(settings.image, settings.base_image)
        self.satellite = instance_id(settings.data)
        self.environments = EnvironmentCache(
            settings.data / "environments" / self.tag.partition(":")[2], settings.environment_bytes
        )
        self.handovers = Handovers(handover_folder(settings.data, self.satellite), shared=True)
        self.closing = threading.Event()
        self._client: docker.DockerClient | None = None
        self._is_near: bool | None = None

    def client(self) -> docker.DockerClient:
        """The connection to the engine, made when it is first needed; raises Unknown."""
        if self._client is None:
            address = self.settings.docker_host or None
            with engine():
                self._client = docker.DockerClient(base_url=address, timeout=API_SECONDS)
        return self._client

    def available(self) -> tuple[bool, str]:
        """Whether an engine answers on this machine and has, or can make, the model image."""
        try:
            version = self.version()
        except Unknown as error:
            return False, str(error)
        try:
            self.ensure_image()
        except (RuntimeFailure, Unknown) as error:
            return False, f"Docker {version} answers, but the model image cannot be made: {error}"
        return True, f"Docker {version} answers and the model image is there"

    def version(self) -> str:
        """The engine's version. Raises Unknown, with a clause that says why there is none that could be used."""
        host = self.settings.docker_host
        if host and not host.startswith("unix://"):
            raise Unknown(f"the engine at {host} is on another machine and cannot mount our files")
        try:
            with engine():
                return str(self.client().version()["Version"])
        except Unknown as error:
            raise Unknown(f"no Docker engine answers at {host or 'the usual socket'}") from error

    def image_state(self) -> str:
        """Whether the model image is there, or can be built from a base that is. Raises Unknown."""
        images = self.client().images
        for name, state in ((self.tag, "there"), (self.settings.base_image, "can be built")):
            with engine(), contextlib.suppress(docker.errors.ImageNotFound):
                images.get(name)
                return state
        return "needs a base image that is not there yet"

    def machine(self) -> Machine:
        """The engine's part of the machine; GPUs only where the engine has the means to hand them on."""
        with engine():
            told = self.client().info()
        able = "nvidia" in told.get("Runtimes", {}) or shutil.which("nvidia-container-runtime-hook")
        return Machine(told["MemTotal"], told["NCPU"], count_gpus() if able else 0)

    def ensure_image(self) -> None:
        """Build the model image unless it is there; raises RuntimeFailure."""
        images = self.client().images
        with engine(), contextlib.suppress(docker.errors.ImageNotFound):
            images.get(self.tag)
            return
        self.ensure_base()
        log.info("Building the model image %s; this takes a minute", self.tag)
        build = self.settings.build
        try:
            images.build(
                fileobj=build_context(self.settings.wheelhouse, certificate_of(build), pip_settings(build)),
                custom_context=True,
                tag=self.tag,
                buildargs={
                    "BASE": self.settings.base_image,
                    **{name: build[name] for name in PROXIES if name in build},
                },
                rm=True,
                forcerm=True,
                timeout=BUILD_SECONDS,
            )
        except docker.errors.BuildError as error:
            lines = "".join(str(line.get("stream", "")) for line in error.build_log).strip().splitlines()
            raise RuntimeFailure(reasons.IMAGE_BUILD_FAILED, " ".join(lines[-3:])) from error
        except docker.errors.APIError as error:
            raise RuntimeFailure(reasons.IMAGE_BUILD_FAILED, explanation(error)) from error
        finally:
            if pip_settings(build):
                self.forget_first_stage()

    def forget_first_stage(self) -> None:
        """Remove the layers that held the index settings: there may be a password in them."""
        with contextlib.suppress(Unknown, docker.errors.APIError), engine():
            self.client().images.prune(filters={"dangling": True, "label": STAGE_LABEL})

    def ensure_base(self) -> None:
        """Have the base image here, pulling it where it is not; raises RuntimeFailure."""
        base = self.settings.base_image
        images = self.client().images
        with engine(), contextlib.suppress(docker.errors.ImageNotFound):
            images.get(base)
            return
        try:
            images.pull(base, auth_config=self.settings.registry_login)
        except (docker.errors.APIError, requests.exceptions.RequestException) as error:
            raise RuntimeFailure(reasons.BASE_IMAGE_MISSING, f"{base}: {error}") from error

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Start the container unless it runs; one that has ended for good is made anew."""
        with engine():
            if container := self.find(spec.key):
                if container.status in {"running", "restarting", "paused"}:
                    return
                container.remove(force=True, v=True)
        with self.python_for(spec) as python:
            if self.closing.is_set():
                raise Unknown("The satellite is stopping")
            with self.handovers.given(spec.key, spec.secrets, spec.attributes) as handover:
                environment = self.environments.folder / spec.environment.key
                self.run(spec.key, replica_container(spec, self.satellite, self.tag, python, environment, handover))

    def run(self, key: str, arguments: dict[str, Any]) -> None:
        """Start the container of a replica, or leave nothing of it. Raises RuntimeFailure."""
        try:
            self.launch(arguments)
        except docker.errors.APIError as error:
            self.ensure_absent(key)
            raise RuntimeFailure(reasons.of_engine(explanation(error)), explanation(error)) from error

    def launch(self, arguments: dict[str, Any]) -> Any:
        """Create and start a container of the model image. Raises RuntimeFailure, Unknown and the SDK's APIError.

        The SDK's own `run` would pull an image that somebody has removed, and who knows from whom; ours is made anew.
        """
        containers = self.client().containers
        with engine():
            try:
                container = containers.create(**arguments)
            except docker.errors.ImageNotFound:
                self.ensure_image()
                container = containers.create(**arguments)
            try:
                container.start()
            except docker.errors.APIError:
                container.remove(force=True, v=True)
                raise
        return container

    def ensure_absent(self, key: str) -> None:
        """Stop the container, first politely, and remove it."""
        with engine(), contextlib.suppress(docker.errors.NotFound):
            if container := self.find(key):
                container.stop(timeout=STOP_SECONDS)
                container.remove(force=True, v=True)
        self.handovers.remove(key)

    def remove_left_by(self, instance: str, deployment_id: str) -> None:
        """Stop and remove the containers that another instance has made for a deployment on this engine."""
        theirs = [f"{LABEL}satellite={instance}", f"{LABEL}deployment={deployment_id}"]
        with engine(), contextlib.suppress(docker.errors.NotFound):
            for container in self.client().containers.list(all=True, filters={"label": theirs}, ignore_removed=True):
                container.stop(timeout=STOP_SECONDS)
                container.remove(force=True, v=True)

    def observe(self) -> list[Observed]:
        """All containers with our label, in one question to the engine."""
        bridges = our_addresses() if self.is_near() else ()
        with engine():
            found = self.client().api.containers(all=True, filters={"label": self.labels()})
        return [observed(raw, bridges) for raw in found]

    def is_near(self) -> bool:
        """Whether containers can be reached past the engine; asked once. Raises Unknown."""
        if self._is_near is None:
            with engine():
                self._is_near = shares_our_network(self.client().info())
        return self._is_near

    def logs(self, key: str, lines: int) -> str:
        """The last lines of the container's log."""
        with contextlib.suppress(Unknown, docker.errors.APIError), engine():
            if container := self.find(key):
                return self.hide_secrets(key, container.logs(tail=lines).decode(errors="replace").strip())
        return ""

    def ending(self, key: str) -> Ending | None:
        """How the container ended last; one that the engine has started again has forgotten it."""
        with engine():
            container = self.find(key)
        if container is None or container.status == "running":
            return None
        state = container.attrs["State"]
        return Ending(state["ExitCode"], state["OOMKilled"])

    def refresh_attributes(self, key: str, attributes: dict[str, str]) -> bool:
        """Replace the file that the model server looks at."""
        return self.handovers.refresh(key, attributes)

    def hide_secrets(self, key: str, text: str) -> str:
        """The text without the secrets that the replica was handed."""
        return self.handovers.hide(key, text)

    def printed(self, key: str, position: str, stopping: threading.Event) -> Iterator[list[Printed]]:
        """The container's output from `position` on, until it ends. A container in silence is asked for anew."""
        if position == FROM_NOW:
            position = docker_output.present()
        with engine():
            if not (container := self.find(key)):
                return
            api = self.client().api
            # The SDK's own call tells neither the two streams apart nor when a line was printed to the nanosecond.
            with api.get(
                f"{api.base_url}/v{api.api_version}/containers/{container.id}/logs",
                params=docker_output.question(position), stream=True, timeout=(API_SECONDS, SILENT_SECONDS),
            ) as answer:  # fmt: skip
                if not answer.ok:
                    return
                for batch in docker_output.printed(answer.iter_content(None), position):
                    yield batch
                    if stopping.is_set():
                        return

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the engine reports that one of our containers started or ended."""
        threading.Thread(target=self.listen, args=(wake,), name="docker-events", daemon=True).start()

    def listen(self, wake: Callable[[], None]) -> None:
        """Follow the engine's events; after an absence of the engine, look again at everything."""
        filters = {"type": "container", "label": self.labels(), "event": ["start", "die"]}
        while not self.closing.is_set():
            with contextlib.suppress(Unknown, docker.errors.APIError), engine():
                for _ in self.client().events(decode=True, filters=filters):
                    wake()
            self.closing.wait(2.0)

    def trim(self) -> None:
        """Forget environments that nothing has used for long, and what replicas were handed that are gone."""
        self.environments.trim(lambda: {replica.environment_key for replica in self.observe()})
        self.handovers.keep_only(lambda: {replica.key for replica in self.observe()})

    def interrupt(self) -> None:
        """Start nothing any more; remove the builders, which ends the wait for them."""
        self.closing.set()
        mine = [f"{LABEL}satellite={self.satellite}", f"{LABEL}builder"]
        with contextlib.suppress(Unknown, docker.errors.APIError), engine():
            for container in self.client().containers.list(all=True, filters={"label": mine}, ignore_removed=True):
                container.remove(force=True, v=True)

    def close(self, stop_replicas: bool) -> None:
        """Let go of the engine; with `stop_replicas` no container of ours stays."""
        self.closing.set()
        with contextlib.suppress(Unknown):
            if stop_replicas:
                for replica in self.observe():
                    self.ensure_absent(replica.key)
                self.handovers.close()
        if self._client:
            self._client.close()

    def find(self, key: str) -> Any:
        """The container of a replica, or None."""
        with contextlib.suppress(docker.errors.NotFound):
            return self.client().containers.get(container_name(self.satellite, key))
        return None

    def labels(self) -> list[str]:
        """The labels that all our replicas have, and nobody else's."""
        return [f"{LABEL}satellite={self.satellite}", f"{LABEL}key"]

    @contextlib.contextmanager
    def python_for(self, spec: ReplicaSpec) -> Iterator[str]:
        """The interpreter of the model's environment inside the container, built by a one-shot container if needed."""
        try:
            with self.environments.lease(
                spec.environment, lambda folder: self.build(spec.environment, folder)
            ) as python:
                yield python
        except BuildFailed as error:
            raise RuntimeFailure(reasons.of_builder(str(error)), str(error)) from error

    def build(self, spec: EnvironmentSpec, folder: Path) -> None:
        """Run the builder to its end; raises BuildFailed with what it printed last."""
        folder.mkdir(exist_ok=True)  # or the engine makes it, as root
        arguments = builder_container(
            spec, self.satellite, self.tag, folder,
            f"{os.getuid()}:{os.getgid()}", self.settings.build, self.settings.wheelhouse,
        )  # fmt: skip
        try:
            container = self.launch(arguments)
        except docker.errors.APIError as error:
            raise BuildFailed(explanation(error)) from error
        with engine(), removed_at_the_end(container):
            failed = container.wait(timeout=BUILD_SECONDS)["StatusCode"]
            shutil.rmtree(folder / UV_CACHE, ignore_errors=True)
            if failed:
                shutil.rmtree(folder, ignore_errors=True)
                raise BuildFailed(container.logs(tail=20).decode(errors="replace").strip())


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """An engine that does not answer makes everything Unknown; what it refuses stays the SDK's APIError."""
    try:
        yield
    except requests.exceptions.RequestException as error:
        if isinstance(error, docker.errors.APIError):
            if error.is_server_error() and error.status_code in {502, 503}:
                raise Unknown(explanation(error)) from error
            raise
        raise Unknown(f"The Docker engine does not answer: {error}") from error
    except docker.errors.DockerException as error:
        if isinstance(error, docker.errors.APIError | docker.errors.BuildError):
            raise
        raise Unknown(f"The Docker engine does not answer: {error}") from error


@contextlib.contextmanager
def removed_at_the_end(container: Any) -> Iterator[None]:
    """Remove a one-shot container, however it ends."""
    try:
        yield
    finally:
        with contextlib.suppress(docker.errors.APIError):
            container.remove(force=True, v=True)


def explanation(error: docker.errors.APIError) -> str:
    """The engine's own words."""
    return str(error.explanation or error)


def engine_version() -> str:
    """The version of the engine that answers here. Raises RuntimeFailure when none does."""
    try:
        client = docker.from_env(timeout=5)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except docker.errors.DockerException as error:
        raise RuntimeFailure(reasons.RUNTIME_MISSING, f"No Docker engine answers: {error}") from error
