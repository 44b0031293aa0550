"""A client that costs next to nothing, so that what is measured is the server: requests as bytes over open sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from urllib.parse import urlsplit

from tests.cast import key_of
from tests.serving import in_a_loop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def request_for(path: str, body: bytes | None = None) -> bytes:
    """The bytes of Alice's request."""
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key_of('alice')}\r\n"
    )
    size = "" if body is None else f"Content-Length: {len(body)}\r\n"
    return f"{head}{size}\r\n".encode() + (body or b"")


class Wire:
    """One connection that stays open."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection(_place(address), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> bytes:
        """The body of the answer, which must be a success."""
        self._socket.sendall(request)
        answer = b""
        while (whole := _length(answer)) is None or len(answer) < whole:
            answer += self._socket.recv(1 << 20)
        assert answer.startswith(b"HTTP/1.1 20"), answer
        return answer.partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def requests_per_second(address: str, request: bytes, *, connections: int, number: int) -> float:
    """How many answers a second come over so many connections, each of which asks again as soon as it is answered."""

    async def ask(times: int) -> None:
        reader, writer = await asyncio.open_connection(*_place(address))
        for _ in range(times):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 20"), head
            await reader.readexactly((_length(head) or len(head)) - len(head))
        writer.close()

    async def ask_all() -> None:
        await asyncio.gather(*(ask(number // connections) for _ in range(connections)))

    started = time.perf_counter()
    in_a_loop(ask_all())
    return number / (time.perf_counter() - started)


def body_length(head: bytes) -> int:
    """The length of the body that belongs to a head."""
    return (_length(head) or len(head)) - len(head)


def _place(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or 80


def _length(answer: bytes) -> int | None:
    """The length of the whole answer, once its head is there."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    found = _LENGTH.search(head)
    return len(head) + len(end) + int(found[1]) if end and found else None
