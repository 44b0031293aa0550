"""Replicas as services of a Docker swarm: for teams that outgrow one machine."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker.errors
import requests.exceptions

from satellite import reasons
from satellite.machine import Machine
from satellite.reasons import Ending
from satellite.runtimes import docker_output, services
from satellite.runtimes.containers import LABEL
from satellite.runtimes.depot import Depot
from satellite.runtimes.docker import DockerRuntime, engine, explanation
from satellite.runtimes.handover import Handovers, handover_folder
from satellite.runtimes.interface import FROM_NOW, Observed, Printed, ReplicaSpec, RuntimeFailure, Unknown
from satellite.runtimes.parcels import Parcels
from satellite.runtimes.services import Errand, Raw
from satellite.settings import Settings

log = logging.getLogger("satellite.swarm")

LARGEST_SECRET = 500 * 1024
WATCH_SECONDS = 1.0
SILENT_SECONDS = 5.0
GONE_SECONDS = services.STOP_SECONDS + 20
LOOK_AGAIN_SECONDS = 0.2
LAST_LINES = 20
CHOICE_SECONDS = 2.0


class SwarmRuntime:
    """Each replica is a service of one task. The swarm keeps it alive, on another node if its own one dies.

    The satellite runs on a manager, and uses that engine for what is no replica: the image and environments.
    """

    name = "swarm"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.local = DockerRuntime(settings)
        self.satellite = self.local.satellite
        self.handovers = Handovers(handover_folder(settings.data, self.satellite), shared=False)
        self.parcels = Parcels(settings.data / "swarm" / "parcels")
        self.depot = Depot(settings.data / "swarm", self.parcels, self.handovers)
        self.closing = threading.Event()
        self.pushed = False

    @property
    def api(self) -> Any:
        """The engine's API; raises Unknown."""
        return self.local.client().api

    def available(self) -> tuple[bool, str]:
        """Whether this engine manages a swarm, has the image, and nodes can be given what they need."""
        works, why = self.local.available()
        if not works:
            return works, why
        try:
            with engine():
                swarm = self.api.info()["Swarm"]
            if not swarm["ControlAvailable"]:
                return False, NO_MANAGER if swarm["LocalNodeState"] == "active" else NO_SWARM
            self.push_image()
            source = self.source()
        except (Unknown, RuntimeFailure, OSError, docker.errors.APIError) as error:
            return False, f"the engine manages a swarm, but replicas cannot be started: {error}"
        return True, f"the engine manages a swarm of {swarm['Nodes']} nodes, which fetch models at {source}"

    def push_image(self) -> None:
        """Have the image in its registry, if its name says that it is in one. Raises RuntimeFailure."""
        name, tag = self.local.tag.rsplit(":", 1)
        if self.pushed or not is_in_registry(name):
            return
        images, login = self.local.client().images, self.settings.registry_login
        if login:
            # From now on the SDK sends it along with services, too, for their nodes to pull with.
            with engine():
                self.local.client().login(login["username"], login["password"], registry=name.partition("/")[0])
        with engine(), contextlib.suppress(docker.errors.APIError):
            images.get_registry_data(self.local.tag)
            self.pushed = True
            return
        log.info("Pushing the model image %s for the nodes of the swarm", self.local.tag)
        with engine():
            for line in images.push(name, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise RuntimeFailure(reasons.NODE_LACKS_IMAGE, f"{self.local.tag}: {line['error']}")
        self.pushed = True

    def source(self) -> str:
        """Where nodes fetch what they need, from now on. Raises Unknown and OSError."""
        host, _, port = self.settings.nodes_address.rpartition(":")
        if not port.isdigit():
            host, port = self.settings.nodes_address, "0"
        opened = self.depot.open(int(port))
        if not host:
            with engine():
                host = self.api.info()["Swarm"]["NodeAddr"]
        return f"https://{host}:{opened}"

    def machine(self) -> Machine:
        """The largest node."""
        return services.largest(self.nodes().values())

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Make the service unless there is one: what has ended in it is started again by the swarm itself."""
        if self.service(spec.key):
            return
        with self.local.python_for(spec) as python:
            if self.closing.is_set():
                raise Unknown("The satellite is stopping")
            errand = self.errand(spec, python)
            with self.handovers.given(spec.key, spec.secrets, spec.attributes):
                self.create(spec, errand)

    def errand(self, spec: ReplicaSpec, python: str) -> Errand:
        """What the replica has to fetch."""
        environment = ""
        if services.needs_environment(spec, python):
            environment = self.parcels.offer(self.local.environments.folder / spec.environment.key)
        return Errand(self.source(), self.parcels.offer(spec.model), python, environment, self.settings.cache_bytes)

    def create(self, spec: ReplicaSpec, errand: Errand) -> None:
        """Make secret and service, or leave nothing of them. Raises RuntimeFailure."""
        try:
            with engine():
                secret = self.secret(spec)
                constraints = services.spread(self.settings.constraints, self.taken(spec), self.nodes().values())
                arguments = services.replica_service(
                    spec, self.satellite, self.local.tag, errand, secret, constraints, self.settings.ready_seconds
                )
                self.api.create_service(**arguments)
        except docker.errors.APIError as error:
            self.ensure_absent(spec.key)
            raise RuntimeFailure(reasons.of_engine(explanation(error)), explanation(error)) from error

    def taken(self, spec: ReplicaSpec) -> set[str]:
        """The nodes that have other replicas of the same revision, as soon as the swarm has chosen them."""
        labels = [*self.labels(), f"{LABEL}deployment={spec.deployment_id}", f"{LABEL}revision={spec.revision_id}"]
        found: set[str] = set()
        for _ in range(int(CHOICE_SECONDS / LOOK_AGAIN_SECONDS)):
            others = [task for task in self.api.tasks(filters={"label": labels}) if task["DesiredState"] == "running"]
            found = {task.get("NodeID", "") for task in others}
            if "" not in found or self.closing.wait(LOOK_AGAIN_SECONDS):
                break
        return found - {""}

    def relax(self) -> None:
        """Free the replicas to move, which were kept apart for their first start."""
        with engine(), contextlib.suppress(docker.errors.APIError):
            for service in self.api.services(filters={"label": self.labels()}):
                key = services.labels_of(service)["key"]
                if arguments := services.relaxed(service, self.tasks(key)):
                    self.api.update_service(**arguments)

    def secret(self, spec: ReplicaSpec) -> tuple[str, str]:
        """The id and name of a secret with all that the replica is handed. It lives and dies with the service."""
        content = json.dumps(
            {
                "environment": spec.secrets,
                "attributes": spec.attributes,
                "token": self.depot.word("token", spec.key),
                "door": self.depot.word("door", spec.key),
                "certificate": self.depot.public_certificate(),
            }
        )
        if len(content.encode()) > LARGEST_SECRET:
            raise RuntimeFailure(reasons.HANDOVER_TOO_LARGE, f"They take {len(content.encode())} bytes")
        # Of a digest without a key somebody could guess the secret.
        name = f"{services.service_name(self.satellite, spec.key)}-{self.depot.word('secret', content)[:12]}"
        for left in self.secrets(spec.key):
            if left["Spec"]["Name"] == name:
                return left["ID"], name
        labels = {f"{LABEL}satellite": self.satellite, f"{LABEL}key": spec.key}
        return self.api.create_secret(name, content.encode(), labels=labels)["ID"], name

    def ensure_absent(self, key: str) -> None:
        """Remove the service, wait until its task has ended, and remove its secret."""
        with engine():
            if service := self.service(key):
                with contextlib.suppress(docker.errors.NotFound):
                    self.api.remove_service(service["ID"])
            self.wait_until_gone(key)
            for secret in self.secrets(key):
                with contextlib.suppress(docker.errors.NotFound):
                    self.api.remove_secret(secret["ID"])
        self.handovers.remove(key)

    def remove_left_by(self, instance: str, deployment_id: str) -> None:
        """Remove the services that another instance has made for a deployment in this swarm, with their secrets."""
        theirs = {"label": [f"{LABEL}satellite={instance}", f"{LABEL}deployment={deployment_id}"]}
        with engine(), contextlib.suppress(docker.errors.NotFound):
            for service in self.api.services(filters=theirs):
                key = services.labels_of(service)["key"]
                self.api.remove_service(service["ID"])
                mine = [f"{LABEL}satellite={instance}", f"{LABEL}key={key}"]
                for secret in self.api.secrets(filters={"label": mine}):
                    self.api.remove_secret(secret["ID"])

    def wait_until_gone(self, key: str) -> None:
        """Wait for the end of all tasks that a node can still end; those of a dead node ended with it."""
        waiting = threading.Event()
        for _ in range(int(GONE_SECONDS / LOOK_AGAIN_SECONDS)):
            up = {node_id for node_id, node in self.nodes().items() if services.is_up(node)}
            if not [task for task in self.tasks(key) if task.get("NodeID") in up and not services.has_ended(task)]:
                return
            waiting.wait(LOOK_AGAIN_SECONDS)
        log.warning("Replica %s was removed, but its node does not say that it has ended", key)

    def observe(self) -> list[Observed]:
        """All services with our labels, each with the task that counts and the node that has it."""
        with engine():
            found = self.api.services(filters={"label": self.labels()})
            tasks, nodes = self.tasks(), self.nodes()
        if found:
            self.source()  # The words of the doors are the depot's, which may be new here.
        return [
            services.observed(
                service,
                [task for task in tasks if task["ServiceID"] == service["ID"]],
                nodes,
                self.depot.word("door", services.labels_of(service)["key"]),
            )
            for service in found
        ]

    def logs(self, key: str, lines: int) -> str:
        """The last lines that the replica's tasks printed, wherever they ran, and what the swarm says of them."""
        with contextlib.suppress(Unknown, docker.errors.APIError), engine():
            if service := self.service(key):
                printed = self.last_lines(service["ID"], lines)
                over = services.last_end(self.tasks(key))
                said = over["Status"].get("Err", "") if over else ""
                return self.hide_secrets(key, "\n".join([*printed, *([said] if said else [])][-lines:]))
        return ""

    def last_lines(self, service_id: str, lines: int) -> list[str]:
        """Lines of all tasks of a service, in the order of time."""
        raw = self.api.service_logs(service_id, stdout=True, stderr=True, timestamps=True, tail=lines)
        stamped = sorted(b"".join(raw).decode(errors="replace").splitlines())
        return [line.partition(" ")[2] for line in stamped]

    def ending(self, key: str) -> Ending | None:
        """How the replica's last task ended, unless the next one runs."""
        with engine():
            tasks = self.tasks(key)
            nodes = self.nodes()
        task = services.current(tasks)
        if task and services.phase_of(task, nodes.get(task.get("NodeID", ""))) == "running":
            return None
        if (over := services.last_end(tasks)) is None:
            return None
        return services.ending_of(over, self.logs(key, LAST_LINES).splitlines())

    def refresh_attributes(self, key: str, attributes: dict[str, str]) -> bool:
        """Write them down, and wake the replica's side of the depot, which waits for others than it has."""
        if not self.handovers.refresh(key, attributes):
            if not self.service(key):
                return False
            # After a restart of this machine its memory is empty; replicas elsewhere run on.
            with self.handovers.given(key, {}, attributes):
                pass
        self.depot.tell()
        return True

    def hide_secrets(self, key: str, text: str) -> str:
        """The text without the secrets that the replica was handed."""
        return self.handovers.hide(key, text)

    def printed(self, key: str, position: str, stopping: threading.Event) -> Iterator[list[Printed]]:
        """The output of the replica's tasks, wherever they run. A silent one is asked for anew, for it may be gone."""
        if position == FROM_NOW:
            position = docker_output.present()
        while not stopping.is_set() and self.may_print(key):
            with engine(), contextlib.suppress(requests.exceptions.ConnectionError):
                for batch in self.follow(key, position):
                    position = batch[-1].position
                    yield batch
                    if stopping.is_set():
                        return

    def may_print(self, key: str) -> bool:
        """Whether there is a replica that has not ended."""
        return any(one.key == key and one.phase != "exited" for one in self.observe())

    def follow(self, key: str, position: str) -> Iterator[list[Printed]]:
        """One look at the output, as long as something comes. The SDK's own call does not tell its streams apart."""
        api = self.api
        address = f"{api.base_url}/v{api.api_version}/services/{services.service_name(self.satellite, key)}/logs"
        question = docker_output.question(position)
        with api.get(address, params=question, stream=True, timeout=(SILENT_SECONDS, SILENT_SECONDS)) as answer:
            if answer.ok:
                yield from docker_output.printed(answer.iter_content(None), position)

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a task or a node has changed. A swarm has no events for tasks: it is asked every second."""
        threading.Thread(target=self.look, args=(wake,), name="swarm-watch", daemon=True).start()

    def look(self, wake: Callable[[], None]) -> None:
        """Compare, until closed."""
        seen: Any = None
        while not self.closing.wait(WATCH_SECONDS):
            with contextlib.suppress(Unknown, docker.errors.APIError), engine():
                tasks = {task["ID"]: (task["Status"]["State"], task["DesiredState"]) for task in self.tasks()}
                nodes = {node_id: services.is_up(node) for node_id, node in self.nodes().items()}
                if seen is not None and (tasks, nodes) != seen:
                    wake()
                seen = (tasks, nodes)

    def trim(self) -> None:
        """Forget what nothing uses, and what was left by a start that was cut short; free replicas to move."""
        self.relax()
        labels = self.running()
        self.remove_orphaned_secrets({one["key"] for one in labels})
        self.handovers.keep_only(lambda: {one["key"] for one in self.running()})
        self.parcels.keep_only({parcel for one in labels for parcel in one.get("parcels", "").split(",")})
        self.local.environments.trim(lambda: {replica.environment_key for replica in self.observe()})

    def running(self) -> list[dict[str, str]]:
        """The labels of all our services. Raises Unknown."""
        with engine():
            return [services.labels_of(one) for one in self.api.services(filters={"label": self.labels()})]

    def remove_orphaned_secrets(self, keys: set[str]) -> None:
        """Remove secrets of no service, but for those that are being started."""
        with engine():
            left = [(secret["ID"], services.labels_of(secret)["key"]) for secret in self.secrets()]
        for secret_id, key in left:
            if key not in keys and key not in self.handovers.starting and not self.service(key):
                with engine(), contextlib.suppress(docker.errors.APIError):
                    self.api.remove_secret(secret_id)

    def interrupt(self) -> None:
        """Start nothing any more; end the builders."""
        self.closing.set()
        self.local.interrupt()

    def close(self, stop_replicas: bool) -> None:
        """Let go of the swarm; with `stop_replicas` no service of ours stays."""
        self.closing.set()
        with contextlib.suppress(Unknown):
            if stop_replicas:
                for replica in self.observe():
                    self.ensure_absent(replica.key)
                self.handovers.close()
        self.depot.close()
        self.local.close(stop_replicas=False)

    def service(self, key: str) -> Raw | None:
        """The service of a replica, or None. Raises Unknown."""
        with engine(), contextlib.suppress(docker.errors.NotFound):
            found: Raw = self.api.inspect_service(services.service_name(self.satellite, key))
            return found
        return None

    def tasks(self, key: str = "") -> list[Raw]:
        """The tasks of one replica, or of all."""
        found: list[Raw] = self.api.tasks(filters={"label": self.labels(key)})
        return found

    def secrets(self, key: str = "") -> list[Raw]:
        """The secrets of one replica, or of all."""
        found: list[Raw] = self.api.secrets(filters={"label": self.labels(key)})
        return found

    def nodes(self) -> dict[str, Raw]:
        """All nodes of the swarm by their ids. Raises Unknown."""
        with engine():
            return {node["ID"]: node for node in self.api.nodes()}

    def labels(self, key: str = "") -> list[str]:
        """The labels that our replicas have, or the one with that key."""
        return [f"{LABEL}satellite={self.satellite}", f"{LABEL}key={key}" if key else f"{LABEL}key"]


NO_SWARM = "the engine is in no swarm (docker swarm init makes one)"
NO_MANAGER = "the engine is a worker of its swarm; the satellite has to run on a manager"


def is_in_registry(name: str) -> bool:
    """Whether the name of an image says which registry it is in: `host.domain/…`, `host:port/…`, `localhost/…`."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")
