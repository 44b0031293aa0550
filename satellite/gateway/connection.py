"""Connections of callers, one request at a time on each.

A proxy spends most of its time in its web framework, if it has one. This is the parser of Node (httptools) on asyncio,
with what a server on an open network needs: limits on headers, a least speed for whoever sends, flow control both ways.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, cast

import httptools

from satellite.gateway.exchange import STATUS_LINES, Exchange, Refused, TooSlow

IDLE_SECONDS = 75.0
WRITE_SECONDS = 60.0
# What a body must come at on average, once its time to begin with is over (bytes per second).
LEAST_SPEED = 1024
HEAD_BYTES = 64 * 1024
HEADERS = 256
# What chunks and trailers may weigh beside the body they carry.
OVERHEAD_BYTES = 1024 * 1024
OVERHEAD_FACTOR = 8
HIGH_WATER = 64 * 1024
# After the last answer, what is still under way is read for so long, and no more than so much of it: hanging up on a
# caller who is still sending resets the connection, and the answer is lost.
LINGER_SECONDS = 5.0
LINGER_BYTES = 1024 * 1024

Handle = Callable[[Exchange], Coroutine[Any, Any, None]]


class Connection(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)
        self.loop = server.loop
        # Being received, and being answered: mostly the same.
        self.current: Exchange | None = None
        self.active: Exchange | None = None
        self.waiting: deque[Exchange] = deque()
        self.task: asyncio.Task[None] | None = None
        self.paused_at: float | None = None
        self.room: asyncio.Future[None] | None = None
        self.heads = 0
        self.head_bytes = 0
        self.message_bytes = 0
        self.message_began = 0.0
        self.in_head = True
        self.lingering: int | None = None
        self.deadline = self.loop.time() + self.server.slow_seconds

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls."""
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The caller has hung up: whoever works for them may stop."""
        self.server.connections.discard(self)
        if self.task and not self.task.done():
            self.task.cancel()
        if self.room and not self.room.done():
            self.room.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods below."""
        if self.lingering is not None:
            self.lingering += len(data)
            if self.lingering > LINGER_BYTES:
                self.transport.abort()
            return
        heads = self.heads if self.in_head else -1
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # An offer of another protocol (Java's client makes it) may be ignored.
            pass
        except httptools.HttpParserError:
            self.break_off(Refused(400, "This is not HTTP"))
            return
        if heads == self.heads:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self.break_off(Refused(431, f"The headers are larger than {HEAD_BYTES} bytes"))
        elif not self.in_head and self.current:
            self.watch_body(self.current, len(data))

    def pause_writing(self) -> None:
        """The caller does not read as fast as we write."""
        self.room = self.loop.create_future()
        self.deadline = self.loop.time() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """There is room again."""
        if self.room and not self.room.done():
            self.room.set_result(None)
        self.room = None
        self.deadline = math.inf if self.active else self.loop.time() + IDLE_SECONDS

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.in_head, self.message_bytes = True, 0
        if not self.active:
            self.deadline = self.loop.time() + self.server.slow_seconds

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those after the body are of no interest."""
        if self.in_head:
            name = name.lower()
            before = self.headers.get(name)
            self.headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        """The request can be looked at, before its body is here."""
        self.in_head, self.head_bytes = False, 0
        self.heads += 1
        self.message_began = self.loop.time()
        exchange = Exchange(self, self.parser.get_method(), self.target, self.headers)
        exchange.keep_alive = self.parser.should_keep_alive() and not self.server.stopping
        if len(self.headers) > HEADERS:
            exchange.refusal = Refused(431, f"There are more than {HEADERS} headers")
            exchange.keep_alive = False
        self.current = exchange
        self.deadline = self.message_began + self.server.slow_seconds
        if self.active:
            self.waiting.append(exchange)
        else:
            self.start(exchange)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self.current:
            self.current.feed(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.in_head, self.deadline = True, math.inf
        if self.current:
            self.current.complete = True
            self.current.wake()
            self.current = None
        if self.waiting:
            self.pause_reading()

    # What exchanges call.

    def write(self, *parts: bytes) -> None:
        """Send, if there is still somebody."""
        if not self.transport.is_closing():
            self.transport.writelines(parts)

    async def writable(self) -> None:
        """Wait until the caller has taken what was sent."""
        if self.room:
            await asyncio.shield(self.room)

    def resume_reading(self) -> None:
        """There is room for more of the body; the pause was ours, so it does not count against the caller."""
        if self.paused_at is None or self.transport.is_closing():
            return
        now = self.loop.time()
        self.message_began += now - self.paused_at
        self.paused_at = None
        if self.current:
            self.deadline = self.message_began + self.server.slow_seconds + self.current.received / LEAST_SPEED
        self.transport.resume_reading()

    def pause_reading(self) -> None:
        """More would have to be kept than is wanted."""
        if self.paused_at is None and not self.transport.is_closing():
            self.paused_at = self.loop.time()
            self.transport.pause_reading()

    def finished(self, exchange: Exchange) -> None:
        """An answer is on its way: take the next request, or wait for one."""
        self.active = self.task = None
        if not exchange.keep_alive:
            self.hang_up(whole=exchange.complete)
        elif self.waiting:
            self.start(self.waiting.popleft())
        else:
            self.deadline = self.loop.time() + IDLE_SECONDS
            self.resume_reading()

    def abort(self) -> None:
        """Hang up at once."""
        self.transport.abort()

    # The rest.

    def start(self, exchange: Exchange) -> None:
        """Work on a request."""
        self.active = exchange
        self.task = self.loop.create_task(self.server.handle(exchange))

    def watch_body(self, exchange: Exchange, size: int) -> None:
        """Bound what is held of a body, how slowly it may come, and what may come around it."""
        self.message_bytes += size
        self.deadline = self.message_began + self.server.slow_seconds + exchange.received / LEAST_SPEED
        if exchange.buffered > HIGH_WATER:
            self.pause_reading()
            self.deadline = math.inf
        if self.message_bytes > OVERHEAD_BYTES + OVERHEAD_FACTOR * exchange.received:
            self.break_off(Refused(400, "There is more around the body than in it"))

    def hang_up(self, *, whole: bool) -> None:
        """Close after what has been written; unless the request was `whole`, let the caller read that first."""
        if whole:
            self.transport.close()
            return
        self.current, self.lingering = None, 0
        self.deadline = self.loop.time() + LINGER_SECONDS
        self.resume_reading()
        if self.transport.can_write_eof():  # TLS cannot
            self.transport.write_eof()

    def expire(self) -> None:
        """It took too long: tell whoever waits for the rest of a body, hang up on everybody else."""
        self.deadline = self.loop.time() + WRITE_SECONDS
        if self.current and self.current.waiter:
            self.current.wake(TooSlow())
        else:
            self.transport.abort()

    def break_off(self, refused: Refused) -> None:
        """Hang up on what cannot be understood, after the answer that is under way or with one that says why."""
        active, current = self.active, self.current
        self.waiting.clear()
        self.in_head = False
        if active and active is not current:
            active.keep_alive = False
            return
        if self.task:
            self.task.cancel()
        exchange = current or Exchange(self, b"", b"", {})
        exchange.keep_alive = False
        if exchange.begun:
            self.transport.abort()
        else:
            exchange.refuse(refused)

    @property
    def date(self) -> bytes:
        """The header with the time of day."""
        return self.server.date

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.active is None and self.current is None


class Server:
    """All connections, and who answers what comes in over them.

    `slow_seconds` is how long the head of a request may take, and the beginning of its body.
    """

    def __init__(self, handle: Handle, connection_limit: int, slow_seconds: float) -> None:
        self.handle = handle
        self.connection_limit = connection_limit
        self.slow_seconds = slow_seconds
        self.connections: set[Connection] = set()
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self.date = b""
        self.swept = 0.0
        self.sweep()

    def connect(self) -> asyncio.Protocol:
        """For `loop.create_server`."""
        return Connection(self) if len(self.connections) < self.connection_limit else Full()

    def sweep(self) -> None:
        """Once a second: the time of day, and those who are too slow."""
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        self.swept = time.monotonic()
        now = self.loop.time()
        for connection in [one for one in self.connections if one.deadline < now]:
            connection.expire()

    def begin_stop(self) -> None:
        """Hang up where nothing is under way, and elsewhere after the answer."""
        self.stopping = True
        for connection in list(self.connections):
            if connection.idle:
                connection.transport.close()
            for exchange in (connection.active, connection.current, *connection.waiting):
                if exchange:
                    exchange.keep_alive = False

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return any(not connection.idle for connection in self.connections)


class Full(asyncio.Protocol):
    """A connection more than can be served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and hang up."""
        body = b'{"detail":"Too many connections are open here"}'
        writer = cast(asyncio.Transport, transport)
        writer.write(STATUS_LINES[503] + b"content-type: application/json\r\nretry-after: 2\r\n")
        writer.write(b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()
