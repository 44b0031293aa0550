"""A TCP proxy in front of a server, which breaks connections as it is told: the bad line between two good ends."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass

from tests.serving import LoopThread


@dataclass
class Fault:
    """What happens to the next connection whose first request line fits `where`.

    `after` bytes have gone the way `direction` ("up" to the server, "down" to the client) the connection is cut, or
    with `flip` the byte there is changed. With `answer` the server is not asked at all, with `held` not before that
    many seconds.
    """

    where: str
    after: int = 0
    direction: str = "down"
    flip: bool = False
    answer: bytes = b""
    held: float = 0.0


class Proxy:
    """Listens on a free port and forwards to `target`. `requests` are the request lines that began connections, `down`
    the bytes that have gone to the client."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.faults: deque[Fault] = deque()
        self.requests: list[str] = []
        self.down = 0
        self._thread = LoopThread("proxy")
        self._server = self._thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plan(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def close(self) -> None:
        self._thread.run(self._close())
        self._thread.stop()

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._one_request(reader, writer)
        with suppress(OSError):
            writer.transport.abort()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one request and its answer; the connection is closed after it, so that every request is seen."""
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode()
        self.requests.append(line)
        fault = self._fault_for(line)
        if fault and fault.answer:
            writer.write(fault.answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        if fault and fault.held:
            await asyncio.sleep(fault.held)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
        up_writer.write(head)
        gone: Counter[str] = Counter()
        upward = asyncio.create_task(_pump(reader, up_writer, fault, "up", gone))
        try:
            done = asyncio.create_task(_pump(up_reader, writer, fault, "down", gone))
            await asyncio.wait({upward, done}, return_when=asyncio.FIRST_COMPLETED)
            if not (upward.done() and upward.result() == "cut"):
                await done
            self.down += gone["down"]
        finally:
            upward.cancel()
            up_writer.close()
        if not fault or fault.flip or fault.held:
            writer.close()
            await writer.wait_closed()

    def _fault_for(self, line: str) -> Fault | None:
        if self.faults and re.search(self.faults[0].where, line):
            return self.faults.popleft()
        return None


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None, way: str, sent: Counter[str]
) -> str:
    gone, mine = 0, fault is not None and fault.direction == way and not fault.held
    while chunk := await reader.read(65536):
        if mine and fault and gone <= fault.after < gone + len(chunk):
            at = fault.after - gone
            if fault.flip:
                chunk = chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]
            else:
                writer.write(chunk[:at])
                await writer.drain()
                return "cut"
        gone += len(chunk)
        sent[way] = gone
        writer.write(chunk)
        await writer.drain()
    return "end"
