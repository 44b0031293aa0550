from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from luml_app.embedded.leftovers import MARK
from tests.embedded.running_up import Installation

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 30.0
OTHER_UID = 65534  # nobody


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, asked until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE:.0f} s"
        time.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def as_somebody_else(act: Callable[[], None]) -> None:
    """Run `act` in a forked process of another user; its failure is ours.

    A fork and not a new interpreter, which another user may not be allowed to read.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(OTHER_UID)
            os.setuid(OTHER_UID)
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "see the traceback above"


class House:
    """The program `house.py` over a home folder, and what it said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.facts: dict[str, Any] = {}
        self.process: subprocess.Popen[str] | None = None

    def open(self, grace: float = 0.2) -> House:
        """Start it and wait until it stands."""
        self.process = self.launch(grace)
        while (event := self.next_event())["event"] != "stands":
            pass
        self.facts = event
        return self

    def launch(self, grace: float = 0.2) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.house", str(self.home), str(grace)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def next_event(self) -> dict[str, Any]:
        assert self.process and self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        event: dict[str, Any] = json.loads(line)
        return event

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        assert self.process
        self.process.communicate(timeout=DEADLINE)
        return self.process.returncode

    def inhabitants(self) -> set[int]:
        """Every process that belongs to the house, however detached."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                at_work = Path(process.cwd()) == self.home / "postgres"
                marked = process.environ().get(MARK) == str(self.home.resolve())
                if (at_work or marked) and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
        return found


@pytest.fixture
def house(short_path: Path) -> Iterator[House]:
    house = House(short_path / "home")
    yield house
    if house.process and house.process.poll() is None:
        house.process.terminate()
        house.process.communicate(timeout=DEADLINE)
    for pid in house.inhabitants():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a path short enough for sockets in it, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="luml-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


@pytest.fixture
def place(short_path: Path) -> Iterator[Installation]:
    """A fresh place for an installation."""
    place = Installation(short_path)
    try:
        yield place
    finally:
        place.end_everything()


@pytest.fixture
def full_disk(short_path: Path) -> Iterator[Path]:
    """A folder on a disk that has one kilobyte left."""
    with _mounted(short_path, "size=64k") as disk:
        with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(1024)):
                pass
        yield disk


@pytest.fixture
def read_only(short_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, not even root."""
    with _mounted(short_path, "ro") as disk:
        yield disk


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[Path]:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a disk of its own")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
