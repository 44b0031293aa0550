"""A running satellite, as other commands on its machine find it: by its data folder alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec
import psutil

from satellite.gateway.routes import State, read_routes
from satellite.gateway.settings import GatewayState
from satellite.model_server.files import write_whole

LOOK_SECONDS = 0.1


class AlreadyRunning(Exception):  # noqa: N818
    """Another satellite works in the same data folder."""


class NotRunning(Exception):  # noqa: N818
    """No satellite works in the data folder; the message names it."""


class Running(msgspec.Struct, frozen=True):
    """What a satellite writes of itself. `created` tells its process from a later one of the same id.

    One that stands by (`standing_by`) has no `satellite_id` and no `base_url` yet.
    """

    pid: int
    created: float
    satellite_id: str
    platform_url: str
    base_url: str
    runtime: str
    runtime_reason: str
    since: datetime
    standing_by: bool = False


class Served(msgspec.Struct, frozen=True):
    """One deployment as the gateway's table has it."""

    deployment_id: str
    state: State
    replicas: int
    revisions: list[str]


class Status(msgspec.Struct, frozen=True):
    """How a satellite is. `gateway_port`: where it answers for models, if it does; `working_on`: jobs in hand."""

    running: Running | None
    draining: bool
    working_on: int
    gateway_port: int | None
    deployments: list[Served]


class DataFolder:
    """The data folder of a satellite: the lock of its one daemon, what that says of itself, and what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "satellite.lock"
        self.state = folder / "satellite.json"
        self.drained = folder / "draining"
        self.jobs = folder / "working-on"

    @contextlib.contextmanager
    def only_one(self) -> Iterator[TextIO]:
        """Hold the folder; raises AlreadyRunning. The lock ends with the process, however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"Another satellite is running in {self.folder}") from None
            self.jobs.unlink(missing_ok=True)
            yield handle
            self.state.unlink(missing_ok=True)

    def announce(
        self, platform_url: str, runtime: str, reason: str, satellite_id: str = "", base_url: str = ""
    ) -> None:
        """Say who works here, or stands by: who serves nothing has no `base_url`."""
        me, now = psutil.Process(), datetime.now(UTC)
        made = Running(
            me.pid, me.create_time(), satellite_id, platform_url, base_url, runtime, reason, now, not base_url
        )
        write_whole(self.state, msgspec.json.encode(made).decode())

    def note_jobs(self, count: int) -> None:
        """Say how many jobs are in hand. It is for people to see: a full disk holds up no job."""
        with contextlib.suppress(OSError):
            write_whole(self.jobs, str(count))

    def is_draining(self) -> bool:
        """Whether nothing new shall be begun."""
        return self.drained.exists()

    def drain(self, on: bool) -> None:
        """From now on begin nothing new, or do again. Also for a satellite that is started later. Raises NotRunning."""
        if not self.folder.is_dir():
            raise NotRunning(f"There is no satellite's data in {self.folder}")
        if on:
            self.drained.touch()
        else:
            self.drained.unlink(missing_ok=True)

    def status(self) -> Status:
        """Everything that can be said without asking the platform."""
        table = read_routes(self.folder / "routes.json")
        served = [
            Served(name, route.state, len(route.backends), sorted({one.revision for one in route.backends}))
            for name, route in sorted(table.routes.items() if table else ())
        ]
        running = self.running()
        return Status(running, self.is_draining(), self.working_on() if running else 0, self.gateway_port(), served)

    def running(self) -> Running | None:
        """The daemon that works here, if one does and serves already."""
        try:
            found = msgspec.json.decode(self.state.read_bytes(), type=Running)
        except (OSError, msgspec.MsgspecError):
            return None
        return found if is_process(found.pid, found.created) else None

    def working_on(self) -> int:
        """Jobs in hand."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.jobs.read_text())
        return 0

    def gateway_port(self) -> int | None:
        """The port of the gateway, if it runs."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = msgspec.json.decode((self.folder / "gateway.json").read_bytes(), type=GatewayState)
            return found.port if psutil.pid_exists(found.pid) else None
        return None

    def stop(self, patience: float) -> bool:
        """Ask the daemon to stop and wait until it has; False when the patience (seconds) ends first.

        Raises NotRunning.
        """
        running = self.running()
        if running is None:
            raise NotRunning(f"No satellite is running in {self.folder}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
        return self.wait(lambda: not is_process(running.pid, running.created), patience)

    def wait_until_idle(self, patience: float) -> bool:
        """Wait until no job is in hand; False when the patience (seconds) ends first."""
        return self.wait(lambda: self.running() is None or self.working_on() == 0, patience)

    def wait(self, done: Callable[[], bool], patience: float) -> bool:
        """Look until it is so, or too late."""
        deadline = time.monotonic() + patience
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True


def is_process(pid: int, created: float) -> bool:
    """Whether the process with that id is still the one that was started then."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - created) < 1
    return False
