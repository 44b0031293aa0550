"""Between a socket and the disk: bytes are gathered on the event loop and written in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from luml_app.storage.interface import ObjectInfo
from luml_app.storage.sealed import ObjectWriter

CHUNK = 1024 * 1024
"""Bytes that are handed to or fetched from a thread at once; smaller pieces cost more in switches than in copying."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

_background: set[asyncio.Task[None]] = set()


class Intake:
    """Carries a body into `writer`: one piece is being written by a thread of `threads` while the next one arrives.

    At most two pieces are in memory, whatever the size of the body.
    """

    def __init__(self, writer: ObjectWriter, threads: Executor) -> None:
        self._writer = writer
        self._threads = threads
        self._gathered: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None
        self._over = False

    async def take(self, chunk: bytes) -> None:
        """Take some bytes; waits while the disk is slower than the socket. Raises what `ObjectWriter.write` raises."""
        self._gathered.append(chunk)
        self._size += len(chunk)
        if self._size >= CHUNK:
            await self._hand_over()

    async def commit(self, content_md5: bytes | None = None) -> ObjectInfo:
        """Write the rest and make the object visible; nothing stays behind when that fails."""
        try:
            await self._hand_over()
            await self._settle()
        except BaseException:
            await self.abandon()
            raise
        self._over = True
        return await in_thread(self._threads, self._commit, content_md5)

    async def abandon(self) -> None:
        """Drop everything; nothing happens once `commit` has begun to make the object visible."""
        if self._over:
            return
        self._over = True
        with suppress(Exception):
            await self._settle()
        await in_thread(self._threads, self._writer.abort)

    async def _hand_over(self) -> None:
        await self._settle()
        if self._gathered and not self._over:
            piece, self._gathered, self._size = b"".join(self._gathered), [], 0
            self._writing = asyncio.get_running_loop().run_in_executor(self._threads, self._writer.write, piece)

    async def _settle(self) -> None:
        """Wait for the write under way. It is shielded: a thread goes on whoever stops waiting for it."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _commit(self, content_md5: bytes | None) -> ObjectInfo:
        with self._writer:
            return self._writer.commit(content_md5=content_md5)


class Patience:
    """Calls `give_up` when it has not been renewed for `seconds`, between `begin` and `end`."""

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._last_sign = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start to wait."""
        self.renew()
        self._wait(self._seconds)

    def renew(self) -> None:
        """There was a sign of life. Called for every piece of a body, hence no more than a look at the clock."""
        self._last_sign = asyncio.get_running_loop().time()

    def end(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        left = self._last_sign + self._seconds - asyncio.get_running_loop().time()
        if left > 0:
            self._wait(left)
        else:
            self._give_up()


async def in_thread(threads: Executor, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `function` in one of `threads`."""
    return await asyncio.get_running_loop().run_in_executor(threads, partial(function, *args, **kwargs))


def in_background(work: Coroutine[Any, Any, None]) -> None:
    """Let `work` go on by itself; the loop alone would not keep it from being collected half-way."""
    task = asyncio.ensure_future(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
