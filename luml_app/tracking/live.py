"""A run that is sent while it runs: every now and then, as it is then, in place of what was sent before."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from luml_app.schemas.errors import LumlError
from luml_app.tracking.destination import Destination, file_name, pack
from luml_app.tracking.folders import RunFolder

if TYPE_CHECKING:
    from luml_app.tracking.run import Run

_SHARE = 10
"""Of its time a run spends at most one part in so many on being sent, however long it has become."""


class LiveSender:
    """Sends `run` every `seconds`. What goes wrong is passed over: the next turn tries again, and the end does."""

    def __init__(self, run: Run, folder: RunFolder, destination: Destination, seconds: float) -> None:
        self._run, self._folder, self._destination, self._seconds = run, folder, destination, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="luml-run-live", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, after what is on its way."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        pause = self._seconds
        while not self._ended.wait(pause):
            started = time.monotonic()
            with suppress(LumlError, OSError, sqlite3.Error):
                self._send()
            pause = max(self._seconds, _SHARE * (time.monotonic() - started))

    def _send(self) -> None:
        self._run.flush()
        with tempfile.TemporaryDirectory(prefix="luml-") as scratch:
            saved = pack(self._folder, Path(scratch) / file_name(self._run.name))
            stored = self._destination.send_run(saved.path, self._run.record)
        self._run.change(artifact_id=stored.id)
