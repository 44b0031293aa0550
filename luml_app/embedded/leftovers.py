"""Processes that outlived their parent: how they are known again, and how they are ended.

A record on disk knows a child by pid, time of birth and command line, so that a stranger who got the same number is
left alone. A mark in the environment knows every descendant, however it has detached itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
import psutil

MARK = "LUML_SUPERVISED"
STRAY_GRACE = 2.0  # seconds
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


class Record(msgspec.Struct):
    """What is written down about a child: enough to know it again, to tell it from a stranger, and to end it."""

    pid: int
    created: float
    argv: list[str]
    stop_signal: int = signal.SIGTERM
    grace: float = 10.0

    def process(self) -> psutil.Process | None:
        """The recorded process if it is still there, else None."""
        with suppress(*GONE):
            process = psutil.Process(self.pid)
            # Times of birth are counted from the boot, whose own time moves a little when the clock is set.
            same = abs(process.create_time() - self.created) < 2.0 and process.cmdline() == self.argv
            return process if same else None
        return None

    @classmethod
    def of(cls, process: psutil.Process, stop_signal: signal.Signals, grace: float) -> Self:
        """The record of a running process."""
        return cls(process.pid, process.create_time(), process.cmdline(), stop_signal, grace)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record in a file; None when there is none that can be read."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, path: Path) -> None:
        """Write the record in one piece."""
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.replace(path)


def stop_leftovers(run: Path, mark: str = "") -> list[int]:
    """Stop what a killed parent has left behind, by the records in `run` and by `mark`; return the pids.

    Recorded children get their own stop signal and their own grace, and end their descendants themselves; strays get
    SIGTERM. Who is still there then is killed. The caller holds the lock of the home: whoever carries its mark now has
    no living parent.
    """
    farewells = dict.fromkeys(_marked(mark) if mark else (), (STRAY_GRACE, signal.SIGTERM))
    for process, record in _recorded(run):
        for descendant in descendants(process):
            farewells.pop(descendant, None)
        farewells[process] = (record.grace, signal.Signals(record.stop_signal))
    for process in (psutil.Process(), *psutil.Process().parents()):  # started from a terminal inside the old house
        farewells.pop(process, None)
    _end(farewells)
    for path in run.glob("*.json"):
        path.unlink(missing_ok=True)
    return sorted(process.pid for process in farewells)


def _recorded(run: Path) -> Iterator[tuple[psutil.Process, Record]]:
    for path in sorted(run.glob("*.json")):
        record = Record.read(path)
        process = record and record.process()
        if record and process:
            yield process, record


def _end(farewells: Mapping[psutil.Process, tuple[float, signal.Signals]]) -> None:
    families = {process: {process, *descendants(process)} for process in farewells}
    for process, (_, stop_signal) in farewells.items():
        with suppress(*GONE):
            process.send_signal(stop_signal)
    started = time.monotonic()
    for process in sorted(farewells, key=lambda process: farewells[process][0]):
        grace, _ = farewells[process]
        kill(wait(families[process], started + grace - time.monotonic()))


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, and wait until they are gone. A number that has changed hands meanwhile is left alone."""
    processes = list(processes)
    for process in processes:
        with suppress(*GONE):
            process.kill()
    wait(processes, 5.0)


def wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until they have ended, for at most `seconds`; return those that have not."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if alive(process)]
    return left


def alive(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: whose parent is not ours may stay one, in containers without an init."""
    with suppress(*GONE):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def descendants(process: psutil.Process) -> set[psutil.Process]:
    """The children of `process`, their children, and so on, as of now."""
    with suppress(*GONE):
        return set(process.children(recursive=True))
    return set()


def _marked(mark: str) -> set[psutil.Process]:
    """Who carries the mark, outside of our own session: children have sessions of their own."""
    found, ours = set(), os.getsid(0)
    for process in psutil.process_iter():
        with suppress(*GONE, OSError):
            if process.environ().get(MARK) == mark and os.getsid(process.pid) != ours:
                found.add(process)
    return found
