"""A person who follows the README: a clone of this repository, a home of their own, and the commands typed there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)
# What would make a fresh home less fresh: settings of ours, and what the outer make and Python hand down.
_NOT_THEIRS = re.compile(r"LUML_|SATELLITE_|MAKE|MFLAGS|ARGS$|PYTHON|PYTEST|VIRTUAL_ENV|XDG_")


def until(condition: Callable[[], Any], what: str, seconds: float = 180.0) -> Any:
    """The first true answer of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")


class Person:
    """Works in `folder`, where the clone is `repository` and the home `home`."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.home = folder / "repository", folder / "home"
        self.port = _free_port()
        self._sessions: list[subprocess.Popen[bytes]] = []
        self.home.mkdir()

    def clone(self) -> None:
        subprocess.run(["git", "clone", "--quiet", ROOT, self.repository], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """That of a new account on this machine. How packages are fetched and cached here stays as it is."""
        theirs = {name: value for name, value in os.environ.items() if not _NOT_THEIRS.match(name)}
        outer = Path.home()
        return theirs | {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(outer / ".config")),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(outer / ".cache")),
            "LUML_HOME": str(self.home / "luml"),
            "LUML_PORT": str(self.port),
            # The runtime without an engine: what the satellite does with one, tests/satellite shows.
            "LUML_RUNTIME": "process",
            "PYTHON": sys.executable,
        }

    def make_up(self) -> Screen:
        """Type `make up`; the screen fills while it runs."""
        path = self.home / f"screen-{len(self._sessions)}.txt"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["make", "up"],
                cwd=self.repository,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.append(process)
        return Screen(process, path)

    def python(self, code: str) -> Any:
        """Run `code` in the installed environment; what it prints last is JSON."""
        argv = [self.repository / ".venv" / "bin" / "python", "-c", code]
        done = subprocess.run(
            argv, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def shell(self, line: str) -> str:
        """Type a line; what it prints. Fails when it fails."""
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> list[psutil.Process]:
        """Every process of this machine that has to do with this person's files, in whatever family it lives."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def supervisor(self) -> psutil.Process:
        """The process that holds the home."""
        return psutil.Process(int((self.home / "luml" / "lock").read_text()))

    def leave(self) -> None:
        """End whatever a failed test has left."""
        for process in self.processes():
            with suppress(*GONE):
                process.kill()
        for session in self._sessions:
            session.wait(30)

    def _is_mine(self, process: psutil.Process) -> bool:
        places = (str(self.home), str(self.repository))
        with suppress(*GONE, OSError):
            words = [*process.cmdline(), process.cwd(), process.environ().get("HOME", "")]
            return process.pid != os.getpid() and any(place in word for place in places for word in words)
        return False


class Screen:
    """What `make up` shows."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    @property
    def text(self) -> str:
        return self._path.read_text(encoding="utf-8")

    def wait_for(self, words: str, seconds: float = 300.0) -> str:
        """The text of the screen once `words` are on it."""

        def shown() -> str:
            text = self.text
            assert words in text or self.process.poll() is None, f"make up ended:\n{text}"
            return text if words in text else ""

        return str(until(shown, f"{words!r} on the screen:\n{self.text}", seconds))

    def addresses(self) -> dict[str, str]:
        """The pages that the demo names, by the word before them."""
        return dict(re.findall(r"^  (\w+) +(?:.*: )?(http://\S+/app/\S+)$", self.text, re.MULTILINE))

    def table(self) -> list[dict[str, Any]]:
        """The demo's customers, each with the prediction (`will_leave`) and its `chance`."""
        lines = self.text.partition("the same as the model's own:\n\n")[2].partition("\n\n")[0].splitlines()
        names = ["age", "monthly_charge", "contract", "region", "paperless", "will_leave", "chance"]
        assert lines[0].split() == names
        return [dict(zip(names, _cells(line), strict=True)) for line in lines[1:]]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait until it has; the exit code of make."""
        self.process.send_signal(number)
        return self.process.wait(90)


def _cells(line: str) -> list[Any]:
    """A row of the demo's table; a contract may be of two words."""
    age, charge, *contract, region, paperless, leaves, chance = line.split()
    numbers = [int(age), None if charge == "NaN" else float(charge)]
    return [*numbers, " ".join(contract), region, paperless == "True", leaves == "True", float(chance)]


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all its descendants."""
    return [process, *process.children(recursive=True)]


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a process of the same number that came later is another."""
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def missing_tool() -> str:
    """The first program of the README that this machine lacks, or nothing."""
    return next((tool for tool in ("git", "make", "curl") if shutil.which(tool) is None), "")


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
