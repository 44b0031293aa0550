"""`luml up` as a person runs it: a process of its own, with a home, a config file and a port of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from luml_app.client.http import Client
from luml_app.embedded.leftovers import MARK

DEADLINE = 120.0  # seconds; the machine may have more to do than this

LUML = (sys.executable, "-m", "luml_app.cli")
PREDICT = ("predict", "churn-demo", "--example")
PARTS = {
    "server": r"luml_app\.cli serve",
    "database": "pginstall18/bin/postgres",
    "satellite": r"-m satellite$",
    "gateway": r"-m satellite\.gateway",
    "model server": "model_server",
}
PRINTED = re.compile(r"LUML is running on (?P<address>\S+)")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, asked until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE:.0f} s"
        time.sleep(0.05)
    return value


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


class Installation:
    """A place in which LUML may run: `folder/home` and `folder/config.toml`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.home = folder / "home"
        self.config = folder / "config.toml"
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUML_", "SATELLITE_"))}
        own = {"LUML_HOME": str(self.home), "LUML_CONFIG_FILE": str(self.config), "LUML_RUNTIME": "process"}
        self.environment = {**kept, **own, **variables}

    def run(self, *arguments: str, timeout: float = DEADLINE, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command of the CLI, run to its end."""
        return subprocess.run(
            [*LUML, *arguments], env={**self.environment, **variables}, capture_output=True, text=True,
            timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def up(self, *arguments: str, before: Sequence[str] = (), **variables: str) -> Up:
        """Start `luml up`; see `Up.stands` for waiting."""
        words = [*before, *LUML, "up", "--port", str(self.port), *arguments]
        return Up(self, words, {**self.environment, **variables})

    def processes(self) -> dict[int, str]:
        """Everything that runs for this home: pid and command line."""
        found = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                marked = process.environ().get(MARK) == str(self.home.resolve())
                at_work = self.home.resolve() in Path(process.cwd()).parents
                if (marked or at_work) and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = " ".join(process.cmdline())
        return found

    def pids(self, pattern: str) -> set[int]:
        """Those whose command line fits."""
        return {pid for pid, line in self.processes().items() if re.search(pattern, line)}

    def client(self) -> Client:
        """A client with the key that `luml up` has kept."""
        stored = dict(line.split(" = ") for line in self.config.read_text().splitlines())
        return Client(*(msgspec.json.decode(stored[name]) for name in ("address", "api_key")))

    def end_everything(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Up:
    """A running `luml up`, and what it has printed."""

    def __init__(self, place: Installation, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.place = place
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            words, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def printed(self) -> str:
        return "".join(self.lines)

    def stands(self, until: str = "Stop  ") -> Up:
        """Wait until `until` was printed."""

        def is_there() -> bool:
            assert self.process.poll() is None or until in self.printed, f"luml up has ended:\n{self.printed}"
            return until in self.printed

        eventually(is_there, f"{until!r} on the screen")
        return self

    def said(self, name: str) -> str:
        """What the screen says beside a name."""
        found = re.search(rf"^  {name} +(.*)$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found.group(1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(timeout=DEADLINE)
        self._reader.join(timeout=DEADLINE)
        return code

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            self.lines.extend(output)


def artifact_ids(client: Client) -> list[Any]:
    return sorted((one.name, one.id) for one in client.orbit().artifacts())


def predicts(up: Up) -> bool:
    """Whether the demo answers."""
    return up.place.run(*PREDICT).returncode == 0


def sentence(output: str) -> str:
    """What was said, which must be one line of ours and no traceback."""
    lines = [line for line in output.splitlines() if not line.startswith("Starting LUML")]
    assert len(lines) == 1, output
    return lines[0]
