"""Follows the output of every replica and keeps it, masked and bounded; a thread per replica."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from satellite.logs.budget import Budget
from satellite.logs.kept import REQUESTS, Kept, LogFolder, Stream, forget, limit_total, now, stamp
from satellite.logs.lines import cut, shown
from satellite.masking import Masks
from satellite.runtimes.interface import FROM_NOW, Observed, Printed, Runtime, Unknown

log = logging.getLogger("satellite.logs")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 1.0
CATCH_UP_SECONDS = 2.0
LOOK_SECONDS = 15.0


@dataclass
class Followed:
    """One replica that is followed. `rounds` counts how often its output has been read to its present end."""

    key: str
    deployment_id: str
    revision_id: str
    thread: threading.Thread | None = None
    gone: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)
    reading: bool = False
    rounds: int = 0
    position: str = ""

    @property
    def replica(self) -> int | None:
        """Which replica of its revision it is."""
        index = self.key.rpartition(".")[2]
        return int(index) if index.isdecimal() else None


class Collector:
    """Keeps what replicas print under `root`: `size` bytes per deployment, `total` bytes of all."""

    def __init__(self, root: Path, runtime: Runtime, size: int, total: int) -> None:
        self.root = root
        self.runtime = runtime
        self.size = size
        self.total = total
        self.masks = Masks()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.folders: dict[str, LogFolder] = {}
        self.budgets: dict[str, Budget] = defaultdict(Budget)
        self.revisions: dict[str, str] = {}
        self.followed: dict[str, Followed] = {}
        self.told: dict[str, str] = {}
        self.troubled = False

    def stop(self) -> None:
        """Follow nothing any more. What replicas print meanwhile is kept by the next run of the satellite."""
        self.stopping.set()
        with self.lock:
            followed = list(self.followed.values())
        for one in followed:
            one.wake.set()

    def look(self) -> None:
        """Follow the replicas that are there, also those that an earlier run of the satellite has left."""
        with contextlib.suppress(Unknown):
            observed = self.runtime.observe()
            for one in observed:
                self.follow(one)
            self._leave({one.key for one in observed})
        limit_total(self.root, self.total)

    def follow(self, one: Observed) -> None:
        """Keep what a replica prints from where it was last kept on."""
        with self.lock:
            if one.key in self.followed or self.stopping.is_set():
                return
            made = Followed(one.key, one.deployment_id, one.revision_id)
            made.thread = threading.Thread(target=self._collect, args=(made,), name=f"logs-{one.key}", daemon=True)
            self.followed[one.key] = made
        made.thread.start()

    def catch_up(self, key: str) -> None:
        """Wait until what the replica has printed so far is being kept: it is about to be removed."""
        with self.lock:
            one = self.followed.get(key)
        if not one:
            return
        rounds = one.rounds
        one.wake.set()
        pause = threading.Event()
        for _ in range(int(CATCH_UP_SECONDS / 0.02)):
            if one.reading or one.rounds > rounds or self.stopping.is_set():
                return
            pause.wait(0.02)

    def finish(self, key: str) -> None:
        """The replica has been removed: keep its last lines, then forget it."""
        with self.lock:
            one = self.followed.pop(key, None)
        if one and one.thread:
            one.gone.set()
            one.wake.set()
            one.thread.join(CATCH_UP_SECONDS)

    def note(self, deployment_id: str, text: str, revision: str = "", replica: int | None = None) -> None:
        """Keep a line of the satellite's own: what it does with the deployment, and why."""
        lines = [cut(self.masks.hide(shown(line.encode()))) for line in text.splitlines()]
        self._keep(deployment_id, [Kept(now(), "satellite", revision, replica, line) for line in lines])

    def note_change(self, deployment_id: str, text: str) -> None:
        """Keep such a line unless it is the one that was kept last."""
        if self.told.get(deployment_id) != text:
            self.told[deployment_id] = text
            self.note(deployment_id, text)

    def forget(self, deployment_id: str) -> None:
        """The deployment is gone, and so are its lines."""
        with self.lock:
            self.folders.pop(deployment_id, None)
            self.budgets.pop(deployment_id, None)
        self.told.pop(deployment_id, None)
        forget(self.root, deployment_id)
        forget(self.root.with_name(REQUESTS), deployment_id)

    def revision(self, revision_id: str) -> str:
        """What people call a revision: its number, where the platform has told it."""
        return self.revisions.get(revision_id, revision_id)

    def _leave(self, there: set[str]) -> None:
        with self.lock:
            gone = [key for key in self.followed if key not in there]
        for key in gone:
            self.finish(key)

    def _collect(self, one: Followed) -> None:
        """Read until the replica is gone; an engine that is away is waited for."""
        one.position = self._folder(one.deployment_id).positions().get(one.key, "")
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            last, before = one.gone.is_set(), one.position
            one.wake.clear()
            self._read(one)
            one.rounds += 1
            if last:
                return
            pause = FIRST_PAUSE if one.position != before else min(LONGEST_PAUSE, pause * 1.5)
            one.wake.wait(pause)

    def _read(self, one: Followed) -> None:
        """Keep what is printed until the output ends, or is too much."""
        budget = self.budgets[one.deployment_id]
        try:
            for batch in self.runtime.printed(one.key, one.position, self.stopping):
                one.reading = True
                one.position = batch[-1].position
                self._keep(one.deployment_id, [self._kept(one, printed) for printed in batch])
                if not budget.take(sum(len(printed.line) for printed in batch)):
                    self._skip(one, budget)
                    return
        except Unknown as error:
            log.debug("The output of %s must wait: %s", one.key, error)
        except Exception:
            if not self.stopping.is_set():
                log.exception("Following the output of %s failed; trying again", one.key)
        finally:
            one.reading = False

    def _skip(self, one: Followed, budget: Budget) -> None:
        """The replica prints more than may be kept: what comes in the next moment is left out."""
        seconds = budget.seconds_to_fill()
        rate = f"{int(budget.rate) // 1024} KiB per second"
        said = f"More than {rate} is printed; the lines of the next {seconds:.1f} s are not kept."
        self.note(one.deployment_id, said, self.revision(one.revision_id), one.replica)
        one.position = FROM_NOW
        self.stopping.wait(seconds)

    def _kept(self, one: Followed, printed: Printed) -> Kept:
        stream: Stream = printed.stream
        line = cut(self.masks.hide(shown(printed.line)))
        revision = self.revision(one.revision_id)
        return Kept(stamp(printed.time), stream, revision, one.replica, line, one.key, printed.position)

    def _keep(self, deployment_id: str, records: list[Kept]) -> None:
        """Write; a disk that is full costs lines, not the satellite."""
        try:
            self._folder(deployment_id).append(records)
            self.troubled = False
        except OSError as error:
            if not self.troubled:
                log.warning("Lines of deployment %s cannot be kept: %s", deployment_id, error)
            self.troubled = True

    def _folder(self, deployment_id: str) -> LogFolder:
        with self.lock:
            if deployment_id not in self.folders:
                self.folders[deployment_id] = LogFolder(self.root / deployment_id, self.size)
            return self.folders[deployment_id]
