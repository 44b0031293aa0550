"""Keep-alive connections to model servers. A pooled connection costs a tenth of what a general HTTP client does."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections import defaultdict
from collections.abc import Iterable
from typing import cast
from urllib.parse import urlsplit

import httptools

from satellite.gateway.bodies import Body
from satellite.gateway.exchange import Header

IDLE_KEPT = 32
# A machine that is gone does not say so.
CONNECT_SECONDS = 2.0
READY = 200
# An answer is passed on in parts once it is larger than this.
HIGH_WATER = 256 * 1024
KEPT_HEADERS = {b"content-type", b"content-length", b"inference-header-content-length", b"retry-after"}


class UpstreamGone(Exception):  # noqa: N818
    """The model server cannot be reached, or hung up in the middle of an answer."""


class Unreachable(UpstreamGone):
    """Nothing listens there: no request was seen by anybody."""


class StaleConnection(UpstreamGone):
    """A kept connection turned out to be closed before anything was sent: another one may be tried."""


class Answer:
    """An answer whose head is here, and its body up to now: whole (`complete`) unless it is a long one."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []
        self.buffered = 0
        self.complete = False

    @property
    def content_type(self) -> bytes:
        """What the body is."""
        return self.headers.get(b"content-type", b"application/json")

    @property
    def length(self) -> int | None:
        """The size of the body, where it is told in advance."""
        told = self.headers.get(b"content-length")
        return int(told) if told else None

    def take(self) -> bytes:
        """The body that is here and has not been taken yet."""
        chunk = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks, self.buffered = [], 0
        return chunk


class Connection(asyncio.Protocol):
    """One connection, one request at a time. asyncio switches Nagle's delay off on the sockets it makes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[None] | None = None
        self.room: asyncio.Future[None] | None = None
        self.answer = Answer()
        self.error: Exception | None = None
        self.begun = False
        self.paused = False
        # The rest of a request was kept back: what comes next would be taken for it.
        self.spoiled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = cast(asyncio.Transport, transport)
        watch(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods below."""
        self.begun = True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(UpstreamGone(f"The model server does not speak HTTP: {error}"))
            self.close()
            return
        if self.answer.buffered > HIGH_WATER and not self.answer.complete:
            self.pause()
            self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the request that was under way."""
        self.fail(UpstreamGone("The model server closed the connection"))
        self.resume_writing()

    def pause_writing(self) -> None:
        """The model server does not read as fast as we write."""
        self.room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        room, self.room = self.room, None
        if room and not room.done():
            room.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only some headers are passed on."""
        name = name.lower()
        if name in KEPT_HEADERS:
            self.answer.headers[name] = value

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.answer.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.answer.chunks.append(body)
        self.answer.buffered += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self.answer.status < 200:
            return
        self.answer.complete = True
        self.wake()
        if not self.parser.should_keep_alive():
            self.close()

    async def ask(self, head: bytes, body: Body | None) -> Answer:
        """Send one request and wait for its answer, or for so much of it as is kept at once."""
        if not self.usable:
            raise StaleConnection("The connection is closed")
        self.parser = httptools.HttpResponseParser(self)
        self.answer, self.error, self.begun = Answer(), None, False
        await self.send(head, body)
        await self.wait()
        return self.answer

    async def send(self, head: bytes, body: Body | None) -> None:
        """The whole request; a server that has answered before its end gets no more of it."""
        parts = body.in_memory if body else []
        if parts is not None:
            self.write(head, *parts)
        elif body:
            self.write(head)
            async for block in body.blocks():
                if self.error or self.begun:
                    self.spoiled = True
                    break
                self.write(block)
                if self.room:
                    await asyncio.shield(self.room)

    async def wait(self) -> None:
        """Until there is something new; raises UpstreamGone."""
        if self.error is None and not self.answer.complete and not self.paused:
            self.waiting = asyncio.get_running_loop().create_future()
            await self.waiting
        if self.error and not self.answer.complete:
            raise self.error

    async def more(self) -> bytes:
        """The next part of a long answer; nothing at its end. Raises UpstreamGone."""
        while not self.answer.chunks and not self.answer.complete:
            self.resume()
            await self.wait()
        return self.answer.take()

    def write(self, *parts: bytes) -> None:
        """Send."""
        if self.transport and not self.transport.is_closing():
            self.transport.writelines(parts)

    def pause(self) -> None:
        """Let the model server wait."""
        if self.transport and not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Let the rest come."""
        if self.transport and self.paused:
            self.paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def wake(self) -> None:
        """Let whoever waits look again."""
        waiting, self.waiting = self.waiting, None
        if waiting and not waiting.done():
            waiting.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the request under way, if there is one."""
        self.error = self.error or error
        self.wake()

    def close(self) -> None:
        """Hang up."""
        if self.transport:
            self.transport.close()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self.transport is not None and not self.transport.is_closing() and not self.spoiled


class Upstreams:
    """Idle connections by the address they lead to."""

    def __init__(self) -> None:
        self.idle: dict[str, list[Connection]] = defaultdict(list)

    async def ask(self, url: str, head: bytes, body: Body | None) -> Connection:
        """Send a request; returns its connection, which holds the answer and is to be given to `done` or closed.

        `head` is what `request_head` made. Raises UpstreamGone. Cancelling it (a timeout) closes the connection.
        """
        while self.idle[url]:
            connection = self.idle[url].pop()
            try:
                return await self.exchange(connection, head, body)
            except StaleConnection:
                continue
        return await self.exchange(await connect(url), head, body)

    async def exchange(self, connection: Connection, head: bytes, body: Body | None) -> Connection:
        """One request over one connection, closed if it fails."""
        try:
            await connection.ask(head, body)
        except BaseException:
            connection.close()
            raise
        return connection

    async def is_ready(self, url: str) -> bool:
        """Whether the model server at `url` says that it can serve: a question that harms nobody."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                head = request_head("GET", f"{base_path(url)}/healthz", None, ())
                connection = await self.exchange(await connect(url), head, None)
        except (TimeoutError, UpstreamGone):
            return False
        connection.close()
        return connection.answer.status == READY

    def done(self, url: str, connection: Connection) -> None:
        """Keep a connection for the next request, if its answer has come to its end."""
        if connection.usable and connection.answer.complete and len(self.idle[url]) < IDLE_KEPT:
            connection.answer = Answer()
            self.idle[url].append(connection)
        else:
            connection.close()

    def forget(self, urls: set[str]) -> None:
        """Close the idle connections to addresses that are no longer served."""
        for url in urls & set(self.idle):
            for connection in self.idle.pop(url):
                connection.close()


async def connect(url: str) -> Connection:
    """A new connection to the model server at `url`."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(Connection, address.hostname or "", address.port or 80)
    except TimeoutError as error:
        raise Unreachable(f"The model server cannot be reached within {CONNECT_SECONDS:g} s") from error
    except OSError as error:
        raise Unreachable(f"The model server cannot be reached: {error}") from error
    if not connection.usable:
        # The engine's proxy takes connections for a container that does not listen yet, and drops them.
        raise Unreachable("The model server does not listen")
    return connection


def watch(connection: socket.socket) -> None:
    """Have the system notice within a quarter of a minute when there is nobody at the other end any more.

    A model server that is long about a request answers the system's questions meanwhile; one whose container has gone
    together with its network does not, and nobody else would say so.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # the names that this system knows
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@functools.lru_cache(maxsize=1024)
def base_path(url: str) -> str:
    """What comes before every path at a model server's address."""
    return urlsplit(url).path


def request_head(method: str, path: str, size: int | None, headers: Iterable[Header]) -> bytes:
    """The request line and headers; `size` of the body, None where there is none. All hosts are local ones."""
    lines = [f"{method} {path} HTTP/1.1\r\nhost: model\r\n".encode("latin-1")]
    if size is not None:
        lines.append(b"content-length: %d\r\n" % size)
    lines.extend(b"%b: %b\r\n" % header for header in headers)
    lines.append(b"\r\n")
    return b"".join(lines)
