"""What the supervisor and its workers know of each other: a page of memory that they share.

It holds when each worker was last seen turning its event loop, how far it has come with its model, and whether the
server as a whole is ready. Reading and writing it costs nothing and needs nobody's answer, so a worker that hangs is
seen by its silence.
"""

from __future__ import annotations

import mmap
import socket
import struct
import time
from dataclasses import dataclass

LOADING, READY, FAILED = 0, 1, 2
STATES = ("loading", "ready", "failed")
BEAT_SECONDS = 0.25
# A worker that has not turned its loop for so long is busy with something that it should not be busy with.
SILENT_SECONDS = 1.5
ERROR_BYTES = 8192

_WORKER = struct.Struct("<dB7x")


class Board:
    """The shared page of a supervisor with so many workers. Made before they are forked."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._page = mmap.mmap(-1, 8 + workers * _WORKER.size + ERROR_BYTES)

    @property
    def ready(self) -> bool:
        """Whether all workers have their model, or had it once and one of them still does."""
        return self._page[0] == 1

    @ready.setter
    def ready(self, value: bool) -> None:
        self._page[0] = int(value)

    def beat(self, worker: int, state: int) -> None:
        """A worker says that it is there, and how far it has come."""
        _WORKER.pack_into(self._page, 8 + worker * _WORKER.size, time.monotonic(), state)

    def state(self, worker: int) -> int:
        """How far a worker has come."""
        state: int = _WORKER.unpack_from(self._page, 8 + worker * _WORKER.size)[1]
        return state

    def silence(self, worker: int) -> float:
        """Seconds since a worker was last there; since the machine was started for one that never was."""
        beat: float = _WORKER.unpack_from(self._page, 8 + worker * _WORKER.size)[0]
        return time.monotonic() - beat

    @property
    def error(self) -> str:
        """Why the model did not load, as the last worker has told that failed."""
        text = self._page[-ERROR_BYTES:]
        return text.partition(b"\0")[0].decode(errors="replace")

    @error.setter
    def error(self, text: str) -> None:
        self._page[-ERROR_BYTES:] = text.encode()[-ERROR_BYTES + 1 :].ljust(ERROR_BYTES, b"\0")

    def health(self) -> dict[str, str]:
        """What `/healthz` tells."""
        if self.ready:
            return {"status": "ready"}
        if FAILED in map(self.state, range(self.workers)):
            return {"status": "failed", "error": self.error}
        return {"status": "loading"}


@dataclass(frozen=True)
class Lines:
    """What connects a worker with its supervisor: a pipe that ends with it, and a socket that brings connections."""

    lifeline: int
    channel: socket.socket
