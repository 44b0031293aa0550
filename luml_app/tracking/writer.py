"""The thread that writes what a run logs.

Whoever logs puts rows into memory, which takes a microsecond for each, and goes on. Every tenth of a second the thread
writes what has come together in one transaction: that is as much as a killed process can lose. What cannot be written,
because the disk is full or somebody holds the file, is kept and tried again. When there is no room for more in memory,
whoever logs waits a while for the disk; if that does not help, what is logged is given up and counted, so that a broken
disk ends no training.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from luml_app.packaging.metrics_database import open_database
from luml_app.tracking.errors import TrackingError, TrackingWarning

Point = tuple[str, float, int | None, float]
"""Metric, value, step (None: the one after the last) and the time in seconds since 1970."""
Statement = tuple[str, tuple[object, ...] | dict[str, object]]

COMMIT_SECONDS = 0.1
CAPACITY = 200_000
"""Points in memory; some 40 MB."""
PATIENCE = 10.0
"""Seconds in which whoever logs waits for room, before anything is given up."""
_AGAIN_SECONDS = 1.0

_LAST_STEP = "SELECT coalesce(max(step), -1) FROM dynamic_metrics WHERE key = ?"
_WRITE = """
INSERT OR REPLACE INTO dynamic_metrics (key, value, step, logged_at)
VALUES (?, ?, ?, strftime('%Y-%m-%d %H:%M:%f', ?, 'unixepoch'))
"""


class Writer:
    """Writes into the database `file`. Thread-safe; other writers, of any process, may write to the same file.

    After a fork the child's copy goes on, too: empty, with a thread and a connection of its own.
    """

    def __init__(
        self,
        file: Path,
        *,
        commit_seconds: float = COMMIT_SECONDS,
        capacity: int = CAPACITY,
        patience: float = PATIENCE,
    ) -> None:
        self._file = file
        self._capacity, self._patience = capacity, patience
        self.lost = 0
        self.trouble: Exception | None = None
        open_database(file).close()  # what is wrong with the place is said now, to whoever begins the run
        self.begin_empty()
        _WRITERS.add(self)

    def begin_empty(self) -> None:
        """Forget what waits, and the thread: at the beginning, and in a child, where they are the parent's."""
        self._points: list[Point] = []
        self._statements: list[Statement] = []
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        self._put = self._done = 0
        self._closing = self._given_up = False
        self._thread: threading.Thread | None = None
        self._database: sqlite3.Connection | None = None
        self._at_work = threading.Lock()

    def log(self, points: list[Point]) -> None:
        """Have points written soon."""
        with self._changed:
            if self._has_room(len(points)):
                self._points += points
                self._taken()

    def execute(self, *statements: Statement) -> None:
        """Have statements executed soon, in this order, all of them or none."""
        with self._changed:
            if self._has_room(1):
                self._statements += statements
                self._taken()

    def flush(self, timeout: float = 60.0) -> None:
        """Wait until all that was logged before is on disk. Raises `TrackingError` when it is not in time."""
        self._hurry.set()
        with self._changed:
            wanted = self._put
            if not self._changed.wait_for(lambda: self._done >= wanted, timeout):
                raise TrackingError(f"What was logged cannot be written to {self._file}: {self.trouble}.")

    def close(self, timeout: float = 60.0) -> None:
        """Write what there is, and end the thread. Raises `TrackingError` when it cannot be written in time."""
        try:
            self.flush(timeout)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            if self._thread is not None:
                self._thread.join(timeout)

    def pause(self) -> None:
        """Let go of the database until `resume`: SQLite has no words for a connection that two processes inherit."""
        self._at_work.acquire()
        self._let_go()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._at_work.release()

    def _taken(self) -> None:
        self._put += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="luml-run-writer", daemon=True)
            self._thread.start()
            _flush_before_a_worker_ends(self)
        self._changed.notify_all()

    def _has_room(self, more: int) -> bool:
        """Wait for room. Without any, and nothing written for a while, what is logged is lost, and not in silence."""
        if self._is_full() and not self._given_up:
            self._hurry.set()
            if not self._changed.wait_for(lambda: not self._is_full(), self._patience):
                why = self.trouble or "it is too slow"
                said = f"{self._file} cannot be written ({why}): what is logged from now on is lost."
                warnings.warn(said, TrackingWarning, stacklevel=5)
        self._given_up = self._is_full()  # whoever logs next does not wait again
        if self._given_up:
            self.lost += more
        return not self._given_up

    def _is_full(self) -> bool:
        return len(self._points) + len(self._statements) >= self._capacity

    def _work(self) -> None:
        while self._wait():
            with self._changed:
                put, points, statements = self._put, self._points, self._statements
                self._points, self._statements = [], []
                self._changed.notify_all()
            self._write_until_done(points, statements)
            with self._changed:
                self._done = put
                self._changed.notify_all()
        with self._at_work:
            self._let_go()

    def _wait(self) -> bool:
        """Until there is something to write, and a moment for more of it to come; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._points or self._statements or self._closing)
            if not self._points and not self._statements:
                return False
        self._hurry.wait(COMMIT_SECONDS)
        self._hurry.clear()
        return True

    def _write_until_done(self, points: list[Point], statements: list[Statement]) -> None:
        while True:
            try:
                with self._at_work:
                    self._database = self._database or open_database(self._file)
                    _write(self._database, points, statements)
                self.trouble = None
                return
            except Exception as error:
                self.trouble = error
                if not _may_pass(error):  # what nothing helps against must not keep the rest from being written
                    self.lost += len(points) + len(statements)
                    said = f"{self._file}: {error!r}; what was just logged is lost."
                    warnings.warn(said, TrackingWarning, stacklevel=1)
                    return
            if self._closing:
                return
            time.sleep(_AGAIN_SECONDS)

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


_WRITERS: weakref.WeakSet[Writer] = weakref.WeakSet()
_paused: list[Writer] = []


def _before_fork() -> None:
    _paused[:] = list(_WRITERS)
    for writer in _paused:
        writer.pause()


def _after_fork_in_parent() -> None:
    for writer in _paused:
        writer.resume()


def _after_fork_in_child() -> None:
    for writer in _paused:
        writer.begin_empty()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _flush_before_a_worker_ends(writer: Writer) -> None:
    """Workers of multiprocessing end without exit handlers, but for their own kind."""
    from multiprocessing import parent_process, util

    if parent_process() is not None:
        util.Finalize(writer, _flush, args=(weakref.ref(writer),), exitpriority=10)


def _flush(reference: weakref.ref[Writer]) -> None:
    if writer := reference():
        writer.flush()


def _may_pass(error: Exception) -> bool:
    """Whether it may go by itself: full, locked, away. A statement that is wrong stays wrong."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR


def _write(database: sqlite3.Connection, points: list[Point], statements: list[Statement]) -> None:
    database.isolation_level = None
    database.execute("BEGIN IMMEDIATE")  # from here on nobody else can take the steps that are counted
    try:
        for statement, values in statements:
            database.execute(statement, values)
        database.executemany(_WRITE, _numbered(points, lambda key: database.execute(_LAST_STEP, (key,)).fetchone()[0]))
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _numbered(points: list[Point], last: Callable[[str], int]) -> Iterator[tuple[str, float, int, float]]:
    """The points with a step each; `last` tells the highest step of a metric, -1 for none."""
    highest: dict[str, int] = {}
    for key, value, step, at in points:
        known = highest[key] if key in highest else last(key)
        found = known + 1 if step is None else step
        highest[key] = max(known, found)
        yield key, value, found, at
