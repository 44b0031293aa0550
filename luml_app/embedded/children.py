"""One child process: started in its own session, logged to a file, recorded on disk, and stopped with all its own.

`supervisor.py` keeps several of them alive. What survives a ``kill -9`` of the parent is found again by the record
(pid, time of birth, command line: never a stranger who got the same number) and by a mark in the environment, which
every descendant inherits however it detaches itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from luml_app.embedded.account import Account, identity
from luml_app.embedded.leftovers import GONE, MARK, Record, alive, descendants, kill
from luml_app.embedded.logs import open_log, tail
from luml_app.schemas.errors import LumlError

_POLL = 0.02
_PR_SET_PDEATHSIG = 1


class ChildError(LumlError):
    """A process of LUML did not start."""

    code = "child"


@dataclass(frozen=True)
class Command:
    """What to run, and how to end it.

    `environment` is the whole of it: nothing is inherited. `grace` is the time in seconds between `stop_signal` and
    SIGKILL. `prepare` is called before every start, also before a restart. `sockets` are handed on under their numbers,
    and stay open here while the program is started again: who connects meanwhile waits in them.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    prepare: Callable[[], None] = field(default=lambda: None)
    sockets: tuple[socket.socket, ...] = ()


class Child:
    """A process of a `Command`, with `<name>.json` in the folder `run` and its output in `log`."""

    def __init__(self, command: Command, *, run: Path, log: Path, mark: str = "") -> None:
        self.command = command
        self.log = log
        self._record = run / f"{command.name}.json"
        self._mark = mark
        self._popen: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process; None before the first start and after the stop."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Prepare and launch it. Raises ChildError when the program cannot be started at all."""
        self.command.prepare()
        self.launch()

    def launch(self) -> None:
        """Start a prepared program; `start` without the preparation. Raises ChildError when that cannot be done."""
        try:
            self._popen = self._spawn()
        except OSError as error:
            raise ChildError(f"{self.command.name} cannot be started: {error}.") from error
        self._process = psutil.Process(self._popen.pid)
        # It may have ended already; and without a record, on a full disk, the mark still finds it.
        with suppress(*GONE, OSError):
            Record.of(self._process, self.command.stop_signal, self.command.grace).write(self._record)

    @property
    def alive(self) -> bool:
        """Whether the process runs. One that has ended is left unreaped, so that its number stays its own."""
        return self._process is not None and alive(self._process)

    def bury(self) -> int | None:
        """Clear away a child that has ended: kill what it left in its session, reap it, and return its exit code."""
        if self._popen is None:
            return None
        # Before the reaping: while the dead leader is unreaped, nobody else can have the number of its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        code = self._popen.wait()
        self._popen = self._process = None
        self._record.unlink(missing_ok=True)
        return code

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End it and all its descendants: the command's signal, its grace (none once `hurry()`), then SIGKILL."""
        if self._popen is None or self._process is None:
            return
        family = descendants(self._process)
        with suppress(ProcessLookupError):
            os.kill(self._popen.pid, self.command.stop_signal)
        deadline = time.monotonic() + self.command.grace
        while self.alive and time.monotonic() < deadline and not hurry():
            time.sleep(_POLL)
        family = {*family, *descendants(self._process)}
        if self.alive:
            self._popen.kill()
        self.bury()
        kill(family)

    def failure(self, happened: str) -> ChildError:
        """An error that says what `happened` and shows the end of the log."""
        return ChildError(f"{self.command.name} {happened}. The end of {self.log}:\n{tail(self.log)}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with open_log(self.log) as log:
            return subprocess.Popen(
                self.command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.command.folder,
                env=self._environment(),
                start_new_session=True,
                pass_fds=[one.fileno() for one in self.command.sockets],
                preexec_fn=_die_with_parent(self.command.stop_signal),  # noqa: PLW1509 - one system call, no lock
                **identity(self.command.account),
            )

    def _environment(self) -> dict[str, str]:
        mark = {MARK: self._mark} if self._mark else {}
        return {**self.command.environment, **mark}


def _die_with_parent(last_word: signal.Signals) -> Callable[[], None] | None:
    """What a new child calls so that Linux sends it `last_word` when we die, even by SIGKILL.

    The kernel takes the starting *thread* for the parent; a thread that may end before the process must not ask.
    Elsewhere the next start finds what was left behind.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded before the fork: little may be done after it
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(last_word), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
