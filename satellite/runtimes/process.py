"""Replicas as processes of this machine, each in a group and a folder of its own.

A replica's folder holds `replica.json` (who it is, and its process), `port` (written by the model server) and `log`.
The folder's path is on the command line of the process: that is how a restarted satellite tells its replica from a
stranger who was given the same process id, and how it finds one whose id was never written down.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import psutil

from satellite import model_server, reasons
from satellite.environments import BuildFailed, EnvironmentCache, EnvironmentSpec
from satellite.instance import instance_id
from satellite.machine import Machine, this_machine
from satellite.model_server import environment as environments
from satellite.model_server.files import write_whole
from satellite.reasons import Ending
from satellite.runtimes import process_output
from satellite.runtimes.confinement import confine
from satellite.runtimes.handover import Handovers, handover_folder
from satellite.runtimes.interface import Observed, Phase, Printed, ReplicaSpec, RuntimeFailure, Unknown
from satellite.settings import Settings

SERVER = Path(model_server.__file__).parent
STOP_SECONDS = 12.0
WATCH_SECONDS = 0.5
LOG_LIMIT = 4 * process_output.LIMIT


@dataclass(frozen=True)
class Record:
    """What `replica.json` remembers."""

    key: str
    deployment_id: str
    revision_id: str
    digest: str
    environment_key: str
    pid: int | None = None


class ProcessRuntime:
    """The runtime for laptops and for machines without a container engine. It isolates files, not processes."""

    name = "process"

    def __init__(
        self,
        folder: Path,
        inherited: Mapping[str, str],
        build: Mapping[str, str] | None = None,
        environment_bytes: int = Settings.environment_bytes,
    ) -> None:
        self.folder = folder / "replicas"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environments = EnvironmentCache(folder / "environments" / "process", environment_bytes)
        self.handovers = Handovers(handover_folder(folder, instance_id(folder)), shared=False)
        self.inherited = inherited
        self.build = build or {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def available(self) -> tuple[bool, str]:
        """Always: a Python interpreter is all it takes."""
        return True, "models run as processes of this machine"

    def machine(self) -> Machine:
        """This machine."""
        return this_machine()

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Start the replica unless it runs."""
        folder = self.folder / spec.key
        record = read_record(folder)
        if record and self.process_of(folder, record):
            return
        with self.python_for(spec) as python:
            if self.closing.is_set():
                raise Unknown("The satellite is stopping")
            self.start_replica(spec, folder, python)

    def start_replica(self, spec: ReplicaSpec, folder: Path, python: str) -> None:
        """Start a replica in a folder of its own; its record is there before its process is."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        record = Record(spec.key, spec.deployment_id, spec.revision_id, spec.digest, spec.environment.key)
        write_record(folder, record)
        with self.handovers.given(spec.key, spec.secrets, spec.attributes) as handover:
            child = self.start(command(python, spec, folder, handover), folder, self.variables(spec))
        confine(child.pid, spec.limits, spec.key)
        with self.lock:
            self.children[spec.key] = child
        write_record(folder, Record(**{**asdict(record), "pid": child.pid}))

    def ensure_absent(self, key: str) -> None:
        """Stop the replica's whole group, first politely, and remove its folder."""
        folder = self.folder / key
        if not folder.is_dir():
            return
        if process := self.process_of(folder, read_record(folder)):
            stop_group(process)
        with self.lock:
            child = self.children.pop(key, None)
        if child:
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
        self.handovers.remove(key)

    def remove_left_by(self, instance: str, deployment_id: str) -> None:
        """Nothing: processes of another data folder are not told from anybody else's."""

    def observe(self) -> list[Observed]:
        """Every folder with a record, and whether its process lives."""
        return [self.observed(folder, record) for folder, record in self.records()]

    def logs(self, key: str, lines: int) -> str:
        """The end of the replica's log file."""
        try:
            with (self.folder / key / "log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - lines * 400))
                return self.hide_secrets(key, "\n".join(log.read().decode(errors="replace").splitlines()[-lines:]))
        except OSError:
            return ""

    def ending(self, key: str) -> Ending | None:
        """How a child ended; of replicas that an earlier run of the satellite has started nobody knows."""
        with self.lock:
            child = self.children.get(key)
        code = child.poll() if child else None
        return None if code is None else Ending(128 - code if code < 0 else code)

    def refresh_attributes(self, key: str, attributes: dict[str, str]) -> bool:
        """Replace the file that the model server looks at."""
        return self.handovers.refresh(key, attributes)

    def hide_secrets(self, key: str, text: str) -> str:
        """The text without the secrets that the replica was handed."""
        return self.handovers.hide(key, text)

    def printed(self, key: str, position: str, stopping: threading.Event) -> Iterator[list[Printed]]:
        """What the replica prints into its log file, from `position` on, until the file is removed or replaced."""
        return process_output.follow(self.folder / key / "log", position, stopping)

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a child has ended; replicas adopted from an earlier run are seen by the slow round."""
        threading.Thread(target=self.watch_children, args=(wake,), name="process-watch", daemon=True).start()

    def watch_children(self, wake: Callable[[], None]) -> None:
        """Look at the children now and then, until closed."""
        told: set[int] = set()
        while not self.closing.wait(WATCH_SECONDS):
            with self.lock:
                ended = {child.pid for child in self.children.values() if child.poll() is not None}
            if ended - told:
                wake()
            told = ended

    def trim(self) -> None:
        """Forget environments that nothing has used for long, and what replicas were handed that are gone."""
        self.environments.trim(lambda: {record.environment_key for _, record in self.records()})
        self.handovers.keep_only(lambda: {record.key for _, record in self.records()})

    def interrupt(self) -> None:
        """Start nothing any more; end the builders, which are the only children that are no replicas."""
        self.closing.set()
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if Path(child.name()).name.startswith("uv"):
                    child.terminate()

    def close(self, stop_replicas: bool) -> None:
        """Stop all replicas at once, or leave them for the next run of the satellite."""
        self.closing.set()
        if not stop_replicas:
            return
        threads = [
            threading.Thread(target=self.ensure_absent, args=(record.key,), name=f"stop-{record.key}")
            for _, record in self.records()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.handovers.close()

    def records(self) -> Iterator[tuple[Path, Record]]:
        """All replica folders; one without a readable record was being made when the satellite was killed."""
        for folder in sorted(self.folder.iterdir()):
            if record := read_record(folder):
                yield folder, record

    def observed(self, folder: Path, record: Record) -> Observed:
        """One replica as it is now."""
        # Who follows the log keeps it smaller than that; this is for when nobody does.
        process_output.limit(folder / "log", process_output.LIMIT, LOG_LIMIT)
        alive = self.process_of(folder, record) is not None
        url = url_of(folder) if alive else None
        phase: Phase = ("running" if url else "starting") if alive else "exited"
        return Observed(
            record.key, record.deployment_id, record.revision_id, record.digest, phase, url, record.environment_key
        )

    def process_of(self, folder: Path, record: Record | None) -> psutil.Process | None:
        """The replica's living process. A child of ours that has ended is reaped on the way."""
        with self.lock:
            child = self.children.get(folder.name)
        if child and child.poll() is not None:
            return None
        if record and record.pid is not None:
            return living(record.pid, folder)
        # The satellite was killed between starting the process and writing its id down.
        found = (living(pid, folder) for pid in psutil.pids())
        return next((process for process in found if process), None)

    @contextlib.contextmanager
    def python_for(self, spec: ReplicaSpec) -> Iterator[str]:
        """The interpreter with the model's environment: this one, if it has everything."""
        if environments.unmet(spec.environment) is None:
            yield sys.executable
            return
        try:
            with self.environments.lease(
                spec.environment, lambda folder: self.provide(spec.environment, folder)
            ) as python:
                yield python
        except BuildFailed as error:
            raise RuntimeFailure(reasons.of_builder(str(error)), str(error)) from error

    def provide(self, spec: EnvironmentSpec, folder: Path) -> None:
        """Build an environment on this machine; raises BuildFailed."""
        environments.build(spec, folder, environments.find_uv(), self.builder_variables())

    def builder_variables(self) -> dict[str, str]:
        """uv sees what a model sees, and where packages are found."""
        return {**self.inherited, **self.build}

    def variables(self, spec: ReplicaSpec) -> dict[str, str]:
        """The environment of a replica: what may be inherited, what the deployment says, and ours on top."""
        return {
            **self.inherited,
            **spec.variables,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, argv: list[str], folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, printing to its log."""
        # Appending keeps the log whole when it is cut while the process writes.
        with (folder / "log").open("ab") as log:
            try:
                return subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=variables,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise RuntimeFailure(reasons.NOT_STARTED, str(error)) from error


def command(python: str, spec: ReplicaSpec, folder: Path, handover: Path) -> list[str]:
    """The command line of a replica."""
    return [python, str(SERVER), *spec.arguments(str(spec.model), str(handover)), "--port-file", str(folder / "port")]


def read_record(folder: Path) -> Record | None:
    """The record of a replica folder, or None."""
    try:
        return msgspec.json.decode((folder / "replica.json").read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Keep the record; it is there whole or as it was."""
    write_whole(folder / "replica.json", msgspec.json.encode(record).decode())


def url_of(folder: Path) -> str | None:
    """Where the model server listens, once it has said so."""
    with contextlib.suppress(OSError):
        return f"http://127.0.0.1:{int((folder / 'port').read_text())}"
    return None


def living(pid: int, folder: Path) -> psutil.Process | None:
    """The process with that id, if it is alive and is the replica of that folder."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if str(folder / "port") in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def stop_group(process: psutil.Process) -> None:
    """SIGTERM to the replica and all it has started, SIGKILL to what is left after a while."""
    for sign, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
            process.wait(patience)
            break
    # Children of the model that outlived it are still in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
