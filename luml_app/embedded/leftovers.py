"""Processes that outlived their parent: how they are known again, and how they are ended.

A record on disk knows a child by pid, time of birth and command line, so that a stranger who got the same number is
left alone. A mark in the environment knows every descendant, however it has detached itself.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
import psutil

MARK = "LUML_SUPERVISED"
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


class Record(msgspec.Struct):
    """What is written down about a child: enough to know it again, to tell it from a stranger, and to end it."""

    pid: int
    created: float
    argv: list[str]
    stop_signal: int = signal.SIGTERM

    def process(self) -> psutil.Process | None:
        """The recorded process if it is still there, else None."""
        with suppress(*GONE):
            process = psutil.Process(self.pid)
            # Times of birth are counted from the boot, whose own time moves a little when the clock is set.
            same = abs(process.create_time() - self.created) < 2.0 and process.cmdline() == self.argv
            return process if same else None
        return None

    @classmethod
    def of(cls, process: psutil.Process, stop_signal: signal.Signals) -> Self:
        """The record of a running process."""
        return cls(process.pid, process.create_time(), process.cmdline(), stop_signal)

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


def stop_leftovers(run: Path, mark: str = "", grace: float = 10.0) -> list[int]:
    """Stop what a killed parent has left behind, by the records in `run` and by `mark`; return the pids.

    Recorded children get their own stop signal and end their descendants themselves; what is left after `grace`
    seconds is killed. The caller holds the lock of the home: whoever carries its mark now has no living parent.
    """
    first = dict.fromkeys(_marked(mark) if mark else (), signal.SIGTERM)
    for process, stop_signal in _recorded(run):
        for descendant in descendants(process):
            first.pop(descendant, None)
        first[process] = stop_signal
    for process in (psutil.Process(), *psutil.Process().parents()):  # started from a terminal inside the old house
        first.pop(process, None)
    _end(first, grace)
    for path in run.glob("*.json"):
        path.unlink(missing_ok=True)
    return sorted(process.pid for process in first)


def _recorded(run: Path) -> Iterator[tuple[psutil.Process, signal.Signals]]:
    for path in sorted(run.glob("*.json")):
        record = Record.read(path)
        process = record and record.process()
        if record and process:
            yield process, signal.Signals(record.stop_signal)


def _end(first: Mapping[psutil.Process, signal.Signals], grace: float) -> None:
    everybody = set(first).union(*map(descendants, first))
    for process, its_signal in first.items():
        with suppress(*GONE):
            process.send_signal(its_signal)
    _, alive = psutil.wait_procs(everybody, timeout=grace)
    kill(alive)


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, and wait until they are gone. A number that has changed hands meanwhile is left alone."""
    processes = list(processes)
    for process in processes:
        with suppress(*GONE):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def descendants(process: psutil.Process) -> set[psutil.Process]:
    """The children of `process`, their children, and so on, as of now."""
    with suppress(*GONE):
        return set(process.children(recursive=True))
    return set()


def _marked(mark: str) -> set[psutil.Process]:
    found = set()
    for process in psutil.process_iter():
        with suppress(*GONE, OSError):
            if process.environ().get(MARK) == mark:
                found.add(process)
    return found
