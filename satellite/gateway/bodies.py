"""Bodies of requests, kept until they are answered: a model server that dies over one is not the last that gets it.

Small ones stay in memory, larger ones go to an unnamed file; a budget bounds what all of them hold together.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from satellite.gateway.exchange import Exchange, Refused

IN_MEMORY = 256 * 1024
BLOCK = 256 * 1024
RETRY_SECONDS = 2


class Budget:
    """How many bytes all bodies together may hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Hold so many more; raises Refused."""
        if self.held + size > self.limit:
            raise Refused(503, "The gateway holds as many large requests as it can; try again", RETRY_SECONDS)
        self.held += size

    def give(self, size: int) -> None:
        """Hold so many less."""
        self.held -= size


class Body:
    """The whole body of one request. Every user `keep`s it and `release`s it; the last one frees it."""

    def __init__(self, budget: Budget, folder: Path) -> None:
        self.budget = budget
        self.folder = folder
        self.size = 0
        self.users = 1
        self.chunks: list[bytes] = []
        self.loose = 0
        self.file: BinaryIO | None = None

    async def add(self, chunk: bytes) -> None:
        """Keep a part; raises Refused where there is no room for it."""
        self.budget.take(len(chunk))
        self.size += len(chunk)
        self.chunks.append(chunk)
        self.loose += len(chunk)
        if self.size > IN_MEMORY and self.loose >= BLOCK:
            await self.spool()

    async def spool(self) -> None:
        """Move what is in memory to the file."""
        whole, self.chunks, self.loose = b"".join(self.chunks), [], 0
        try:
            await asyncio.to_thread(self.append, whole)
        except OSError as error:
            raise Refused(503, f"The gateway cannot keep the request: {error.strerror}", RETRY_SECONDS) from error

    def append(self, block: bytes) -> None:
        """Write to the file, which has no name: nothing is left behind however the process ends."""
        if self.file is None:
            self.file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115  # closed by `release`
        view = memoryview(block)
        while view:
            view = view[self.file.write(view) :]

    @property
    def in_memory(self) -> list[bytes] | None:
        """All parts, where none is in a file."""
        return None if self.file else self.chunks

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body from its beginning, part by part."""
        if self.file:
            end = self.size - self.loose
            for start in range(0, end, BLOCK):
                yield await asyncio.to_thread(os.pread, self.file.fileno(), min(BLOCK, end - start), start)
        for chunk in self.chunks:
            yield chunk

    def keep(self) -> None:
        """One more needs it."""
        self.users += 1

    def release(self) -> None:
        """One less needs it."""
        self.users -= 1
        if self.users == 0:
            self.budget.give(self.size)
            self.chunks = []
            if self.file:
                self.file.close()


async def receive(exchange: Exchange, budget: Budget, folder: Path, limit: int) -> Body:
    """Read a body of up to `limit` bytes; raises Refused. The caller of this function has to release it."""
    body = Body(budget, folder)
    try:
        while chunk := await exchange.read():
            if body.size + len(chunk) > limit:
                raise too_large(limit)
            await body.add(chunk)
    except BaseException:
        body.release()
        raise
    return body


async def drop(exchange: Exchange, limit: int) -> None:
    """Read a body to its end and keep nothing, for the sake of a refusal that can be read.

    Hanging up on a caller who is still sending resets the connection, and the answer is lost. After `limit` bytes that
    is how it goes; a caller who has asked whether to send at all is told at once.
    """
    while not exchange.complete and exchange.received < limit and not exchange.expects_continue:
        await exchange.read()


def too_large(limit: int) -> Refused:
    """The refusal of a body over the limit."""
    return Refused(413, f"The body is larger than {limit} bytes")
