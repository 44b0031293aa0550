"""Keeps child processes alive, and ends them all when it is told to.

::

    with Supervisor(home.run, home.logs, mark=home.mark, report=print) as supervisor:
        supervisor.start(postgres.command(), ready=postgres.ready)
        supervisor.start(server, ready=answers)
        supervisor.watch()

SIGINT, SIGTERM or SIGHUP raise `StopRequested` wherever the main thread is, which ends the block; children are then
stopped in reverse order of their starts. A second signal hastens: who still runs is killed.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from luml_app.embedded.children import Child, Command
from luml_app.embedded.leftovers import stop_leftovers
from luml_app.schemas.errors import LumlError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0  # seconds before a restart; doubled each time
STEADY = 60.0  # seconds after which a child counts as healthy again
_POLL, _LOOK = 0.05, 0.2  # seconds between two looks: while starting, and ever after


class StopRequested(KeyboardInterrupt):
    """Somebody asked LUML to stop."""


@dataclass
class _Kept:
    """A child, and when it may be started again."""

    child: Child
    started: float
    pause: float = FIRST_PAUSE
    again_at: float | None = None


class Supervisor:
    """Children of this process; a context manager, used in the main thread.

    `run` and `logs` are folders; `mark` is inherited by every descendant, so that the next supervisor with the same
    mark finds what a ``kill -9`` of this one leaves behind. `report` gets one sentence about each incident. The
    caller holds the lock of the home.
    """

    def __init__(self, run: Path, logs: Path, *, mark: str, report: Callable[[str], None]) -> None:
        self._run = run
        self._logs = logs
        self._mark = mark
        self._report = report
        self._kept: list[_Kept] = []
        self._handlers: Mapping[signal.Signals, Any] = {}
        self._deferring = False
        self._asked = 0

    def __enter__(self) -> Self:
        # What was ignored stays ignored: that is how `nohup` and shells without job control ask for it.
        listening = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._on_signal) for number in listening}
        try:
            if left := stop_leftovers(self._run, self._mark):
                self._report(f"Stopped {len(left)} processes that an earlier run had left behind.")
        except BaseException:
            self._restore_handlers()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._deferring = True
        try:
            self._stop_all()
        finally:
            self._restore_handlers()
        return isinstance(error, StopRequested)

    @property
    def pids(self) -> dict[str, int]:
        """The process numbers of the children that were started, by name."""
        return {kept.child.command.name: kept.child.pid for kept in self._kept if kept.child.pid}

    def start(self, command: Command, ready: Callable[[], bool] = lambda: True, patience: float = 60.0) -> Child:
        """Start a child and wait until it is `ready()`, for at most `patience` seconds.

        Raises ChildError, with the end of its log, when it ends before or takes too long.
        """
        child = Child(command, run=self._run, log=self._logs / f"{command.name}.log", mark=self._mark)
        self._kept.append(_Kept(child, time.monotonic()))
        self._start_undisturbed(child)
        self._wait(child, ready, patience)
        return child

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Restart children that end, until `until()`; a requested stop is StopRequested, which the block swallows."""
        while not until():
            if self._asked:
                raise StopRequested
            for kept in self._kept:
                self._look_after(kept)
            time.sleep(_LOOK)

    def _wait(self, child: Child, ready: Callable[[], bool], patience: float) -> None:
        deadline = time.monotonic() + patience
        while not ready():
            if not child.alive:
                raise child.failure("ended at its start")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready after {patience:.0f} s")
            time.sleep(_POLL)

    def _look_after(self, kept: _Kept) -> None:
        now = time.monotonic()
        if kept.again_at is None:
            if not kept.child.alive:
                self._mourn(kept, now)
        elif now >= kept.again_at:
            self._start_again(kept)

    def _mourn(self, kept: _Kept, now: float) -> None:
        code = kept.child.bury()
        if now - kept.started > STEADY:
            kept.pause = FIRST_PAUSE
        kept.again_at = now + kept.pause
        self._report(
            f"{kept.child.command.name} ended ({_cause(code)}) and starts again in {kept.pause:g} s; "
            f"its log: {kept.child.log}"
        )
        kept.pause = min(2 * kept.pause, LONGEST_PAUSE)

    def _start_again(self, kept: _Kept) -> None:
        kept.started, kept.again_at = time.monotonic(), None
        try:
            self._start_undisturbed(kept.child)
        except LumlError as error:
            kept.again_at = kept.started + kept.pause
            self._report(error.message)

    def _stop_all(self) -> None:
        while self._kept:
            self._kept.pop().child.stop(hurry=lambda: self._asked > 1)
        stop_leftovers(self._run, self._mark)  # who has detached itself from its parents

    def _start_undisturbed(self, child: Child) -> None:
        child.command.prepare()
        # A signal between the fork and the note of it would leave a child that nobody knows: let it wait.
        self._deferring = True
        try:
            child.launch()
        finally:
            self._deferring = False
        if self._asked:
            raise StopRequested

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if not self._deferring:
            self._deferring = True  # the stop is on its way; a second raise would only break it
            raise StopRequested

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
