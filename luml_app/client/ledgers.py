"""What of a transfer is done, on disk: whoever begins it anew, in this process or another one, goes on from there."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

AT_ONCE = 4
"""Parts that go over the line at the same time."""
SETTLE_SECONDS = 10.0
"""Parts that need not go on have so long to notice."""
KEPT_SECONDS = 14 * 24 * 3600
"""Nobody goes on with what was left longer ago."""


class Stopped(Exception):  # noqa: N818
    """Another part has failed, or somebody has cancelled: this one need not go on."""


@dataclass
class Ledger:
    """The parts that are done, each with what the other end has said of it, and `facts` about the whole transfer.

    Without a path it is kept in memory only.
    """

    path: Path | None
    facts: dict[str, str] = field(default_factory=dict)
    parts: dict[int, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def read(cls, path: Path | None) -> Ledger:
        """What is there; an empty one where nothing is, or nothing that can be read."""
        if path is not None:
            with suppress(OSError, msgspec.MsgspecError):
                told = msgspec.json.decode(path.read_bytes(), type=_Told)
                return cls(path, told.facts, told.parts)
        return cls(path)

    def begin(self, **facts: str) -> None:
        """Forget what was done, and keep these facts."""
        self.facts, self.parts = facts, {}
        self._write()

    def note(self, **facts: str) -> None:
        """Add facts."""
        self.facts.update(facts)
        self._write()

    def done(self, number: int, told: str) -> None:
        """One more part is done."""
        with self.lock:
            self.parts[number] = told
            self._write()

    def end(self) -> None:
        """The transfer is over."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        """All of it or nothing. A disk that is full costs no more than the memory of what was done."""
        if self.path is None:
            return
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(_Told(self.facts, self.parts)))
            Path(draft).replace(self.path)


class _Told(msgspec.Struct):
    facts: dict[str, str]
    parts: dict[int, str]


def key_of(*facts: Any) -> str:
    """A name for the ledger of a transfer that is known by these facts."""
    return hashlib.sha256(msgspec.json.encode(facts, enc_hook=str)).hexdigest()[:40]


@contextmanager
def sole_user(path: Path) -> Iterator[bool]:
    """Whether this process and thread are the only ones with this file, for as long as the block lasts.

    Nobody waits: whoever comes second does without. Where files cannot be locked, nobody is the only one.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        try:
            yield is_still(file.fileno(), path)
        finally:
            path.unlink(missing_ok=True)


def is_still(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at this path: whoever had it before may have removed it in this moment."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def forget_old(folder: Path) -> None:
    """Remove what nobody goes on with."""
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()


def in_parallel(
    parts: Iterable[Any], work: Callable[[Any, Callable[[], None]], str], ledger: Ledger, at_once: int = AT_ONCE
) -> None:
    """Do the parts that are not done, some at once; the first error, or Ctrl-C, stops all of them.

    `work` does one part and returns what the other end has said; it calls what it is given now and then, which raises
    Stopped when it need not go on.
    """
    workers = Workers(work, ledger, [part for part in parts if part.number not in ledger.parts])
    try:
        workers.run(at_once)
    except KeyboardInterrupt:
        raise  # whoever cancels does not wait for a bucket that is slow to answer
    except BaseException:
        workers.settle(SETTLE_SECONDS)
        raise


class Workers:
    """Threads that take parts until all are done, or one has failed. They keep no process alive."""

    def __init__(self, work: Callable[[Any, Callable[[], None]], str], ledger: Ledger, parts: list[Any]) -> None:
        self.work, self.ledger, self.left = work, ledger, deque(parts)
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.threads: list[threading.Thread] = []
        self.busy = 0
        self.error: BaseException | None = None

    def run(self, at_once: int) -> None:
        """Raises the first error."""
        count = min(at_once, len(self.left))
        self.threads = [threading.Thread(target=self._take, name="transfer", daemon=True) for _ in range(count)]
        self.busy = count
        for thread in self.threads:
            thread.start()
        try:
            with self.changed:
                self.changed.wait_for(lambda: self.error or not self.busy)
        finally:
            self.stopping.set()
        if self.error:
            raise self.error

    def settle(self, seconds: float) -> None:
        """Let those who are told to stop do so."""
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _take(self) -> None:
        error: BaseException | None = None
        try:
            while (part := self._next()) is not None and not self.stopping.is_set():
                self._one(part)
        except Stopped:
            pass
        except BaseException as caught:
            error = caught
        with self.changed:
            self.busy -= 1
            self.error = self.error or error
            self.changed.notify_all()

    def _next(self) -> Any:
        try:
            return self.left.popleft()
        except IndexError:
            return None

    def _one(self, part: Any) -> None:
        told = self.work(part, self._go_on)
        self._go_on()
        self.ledger.done(part.number, told)

    def _go_on(self) -> None:
        if self.stopping.is_set():
            raise Stopped
