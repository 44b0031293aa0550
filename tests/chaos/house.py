"""A whole installation in processes of its own, each of which is killed and started again as an init system does it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from luml_app.client.http import Client
from luml_app.client.objects import DeploymentHandle
from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from luml_app.embedded.postgres import Postgres
from luml_app.schemas.errors import LumlError
from satellite.instance import instance_id
from satellite.runtimes.containers import LABEL
from tests.cast import MASTER_KEY, load_cast, populate
from tests.satellite.contract_server import until
from tests.satellite.engine import BASE_IMAGE
from tests.satellite.models import write_model
from tests.satellite.test_jobs import operators_environment

SECONDS_TO_BE_RIGHT = 60
SETTLED = ("succeeded", "failed", "dead", "cancelled")


class Program:
    """One process: started, killed, started again with the same words."""

    def __init__(self, log: Path, module: list[str], environment: dict[str, str]) -> None:
        self.log, self.command, self.environment = log, [sys.executable, "-m", *module], environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as printed:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=printed, stderr=printed)

    def kill(self) -> None:
        """Raises AssertionError when it had ended already: that was nobody's doing but its own."""
        if self.process:
            self.must_run()
            self.process.kill()
            self.process.wait(30)

    def must_run(self) -> None:
        code = self.process.poll() if self.process else None
        assert code is None, f"{self.command} ended by itself with {code}: {self.log.read_text()[-1000:]}"

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()


class Port:
    """A port that is kept for one program while that is dead, too.

    Others would take it meanwhile: whoever asks for a free one, and whoever calls somebody, be it only this port. A
    socket that is bound and does not listen keeps it, and stands in the way of nobody who may use an address again.
    """

    def __init__(self) -> None:
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        self.number: int = self.held.getsockname()[1]


class Installation:
    """PostgreSQL, server and, where it has a `runtime`, a satellite with its gateway and replicas, below `folder`.

    `variables` are further settings of both, by the names of the environment.
    """

    def __init__(
        self,
        folder: Path,
        runtime: str = "",
        engine: str = "",
        ports: tuple[Port, Port] | None = None,
        **variables: Any,
    ) -> None:
        self.folder, self.engine = folder, engine
        # Where it may be killed it must be durable: a fast one forgets what it has confirmed last.
        self.postgres = Postgres(folder / "pg", fast=not runtime)
        self.url = self.postgres.start()
        self.database = Database(self.url, pool_size=3)
        migrate(self.database)
        populate(self.url)
        self.cast = load_cast(self.database)
        self.ports = ports or (Port(), Port())
        port, gateway_port = (one.number for one in self.ports)
        self.address = f"http://127.0.0.1:{port}"
        home = folder / "home"
        server = {"LUML_HOME": home, "LUML_DATABASE_URL": self.url, "LUML_SECRET_KEYS": MASTER_KEY, "LUML_PORT": port}
        self.server = Program(
            folder / "server.log", ["luml_app.cli", "serve", "--role", "api"], environment(**{**server, **variables})
        )
        self.server.start()
        self.client = Client(self.address, self.cast.alice.api_key)
        until(self.answers, 60, "the server")
        self.orbit = self.client.orbit()
        self.made = self.client.satellites.create(*self.orbit.ids, name="box")
        self.data = folder / "satellite"
        told = {
            "LUML_ADDRESS": self.address, "SATELLITE_TOKEN": self.made.api_key, "SATELLITE_DATA": self.data,
            "SATELLITE_RECONCILE_SECONDS": 1, "SATELLITE_LEASE_SECONDS": 3, "SATELLITE_RUNTIME": runtime,
            "SATELLITE_BASE_IMAGE": BASE_IMAGE, "SATELLITE_PORT": gateway_port, "DOCKER_HOST": engine,
        }  # fmt: skip
        self.satellite = Program(folder / "satellite.log", ["satellite"], environment(**{**told, **variables}))
        if not runtime:
            return
        self.satellite.start()
        until(lambda: self.client.satellites.get(*self.orbit.ids, self.made.satellite.id).paired, 240, "the pairing")

    def close(self) -> None:
        """End everything; what runs for the satellite ends with it."""
        self.satellite.stop()
        self.server.stop()
        self.client.close()
        self.database.close()
        self.postgres.stop()
        for port in self.ports:
            port.held.close()

    def answers(self) -> bool:
        """Whether the server and its database do."""
        with contextlib.suppress(LumlError):
            return bool(self.client.organizations.list())
        return False

    # What is killed.

    adopted = False
    """Whether the gateway was started by a satellite that has been killed."""

    def kill_satellite(self) -> None:
        self.adopted = True
        self.satellite.kill()
        self.satellite.start()

    def kill_server(self) -> None:
        self.server.kill()
        self.server.start()

    def kill_postgres(self) -> None:
        assert self.postgres.pid
        os.kill(self.postgres.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(self.postgres.pid or 0) or zombie(self.postgres.pid), 10, "its death")
        self.postgres.stop()
        self.postgres.start()

    def kill_gateway(self) -> None:
        for gateway in self.gateways():
            gateway.kill()
        self.adopted = False

    def gateways(self) -> list[psutil.Process]:
        """The processes of this satellite's gateway."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            with contextlib.suppress(psutil.Error):
                if "satellite.gateway" in (process.info["cmdline"] or []) and self.is_mine(process):
                    found.append(process)
        return found

    def is_mine(self, process: psutil.Process) -> bool:
        """Whether a gateway writes its log below our folder."""
        return Path(f"/proc/{process.pid}/fd/1").resolve() == self.data / "gateway.log"

    # What is looked at.

    def containers(self, deployment_id: Any = None) -> list[Any]:
        """The containers of our satellite, or of one deployment."""
        import docker

        labels = [f"{LABEL}satellite={instance_id(self.data)}", f"{LABEL}key"]
        labels += [f"{LABEL}deployment={deployment_id}"] if deployment_id else []
        with contextlib.closing(docker.DockerClient(base_url=self.engine)) as engine:
            return list(engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True))

    def jobs(self, deployment_id: Any) -> list[Any]:
        """The jobs of a deployment, oldest first."""
        mine = t.jobs.c.dedupe_key == f"deployment:{deployment_id}"
        with self.database.read() as db:
            return list(db.execute(select(t.jobs).where(mine).order_by(t.jobs.c.id)))

    def row(self, deployment_id: Any) -> Any:
        """The row of a deployment, None when there is none any more."""
        with self.database.read() as db:
            return db.execute(select(t.deployments).where(t.deployments.c.id == deployment_id)).one_or_none()

    def was_deleted(self, deployment_id: Any) -> bool:
        """Whether the satellite has confirmed that nothing is left of a deployment."""
        gone = (t.events.c.object_id == deployment_id, t.events.c.action == "deployment.gone")
        with self.database.read() as db:
            return db.scalar(select(t.events.c.id).where(*gone)) is not None

    # What is made.

    def model(self, name: str, **facts: Any) -> Any:
        path = write_model(self.folder / f"{name}.luml", **{"warmup": f"print({name!r})", **facts})
        return self.orbit.upload(path, name=name)

    def is_right(self, handle: DeploymentHandle, replicas: int = 1) -> bool:
        """Whether one deployment is as it is wanted, with nothing left over and no job that hangs."""
        self.server.must_run()
        self.satellite.must_run()
        with contextlib.suppress(LumlError):
            row, jobs = self.row(handle.data.id), self.jobs(handle.data.id)
            if any(one.state not in SETTLED for one in jobs):
                return False
            if row is None:
                return self.was_deleted(handle.data.id) and not self.containers(handle.data.id)
            done = row.observed_generation == row.generation and row.rollout is None and row.status == "active"
            return done and not row.error_message and len(self.containers(handle.data.id)) == replicas
        return False

    def state(self, handle: DeploymentHandle) -> str:
        """Everything about one deployment, for whoever reads a failure."""
        row, jobs = self.row(handle.data.id), self.jobs(handle.data.id)
        told = row and (row.status, row.desired, row.generation, row.observed_generation, row.rollout)
        seen = [(one.name, one.status) for one in self.containers(handle.data.id)]
        return f"{told} {[(one.type, one.state, one.attempts) for one in jobs]} {seen}"


def zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def environment(**variables: Any) -> dict[str, str]:
    """This environment with these variables, and none of ours beside them."""
    return {**operators_environment(), **{name: str(value) for name, value in variables.items()}}


@contextlib.contextmanager
def installed(folder: Path, runtime: str = "", engine: str = "", **more: Any) -> Iterator[Installation]:
    """An installation for the time of the block."""
    made = Installation(folder, runtime, engine, **more)
    try:
        yield made
    finally:
        made.close()
