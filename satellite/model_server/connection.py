"""HTTP/1.1 for a model: requests come in whole, replies go out whole, in the order in which they were asked for.

There is no framework and no task per request: between the socket and the model lie one parser and one function call.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools

from .door import Door
from .exchange import Refusal, Reply, Request, refuse

# A body of up to so many times the limit is read to its end for the sake of a readable refusal.
PATIENCE = 4
# A reply with this header is the last of its connection.
CLOSE = (b"connection", b"close")
IDLE_SECONDS = 120.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REASONS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

Respond = Callable[[Reply], None]
Handler = Callable[[str, Request, "Exchange"], None]


class Exchange:
    """One request under way: `respond` answers it, once; `gone` says that nobody waits for the answer any more.

    `too_large` says that the body was over the limit and has been dropped.
    """

    __slots__ = ("connection", "keep_alive", "reply", "too_large")

    def __init__(self, connection: Connection, keep_alive: bool, too_large: bool = False) -> None:
        self.connection = connection
        self.keep_alive = keep_alive
        self.too_large = too_large
        self.reply: Reply | None = None

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up."""
        return self.connection.transport is None

    def respond(self, reply: Reply) -> None:
        """Send the reply, after those of earlier requests on the same connection. A second one is ignored."""
        if self.reply is None:
            self.reply = reply
            self.connection.flush()


class Connections:
    """All open connections of a server: closed when idle for long, and let finish when the server stops."""

    def __init__(self, handle: Handler, body_limit: int) -> None:
        self.handle = handle
        self.body_limit = body_limit
        self.door = Door()
        self.open: set[Connection] = set()
        self.closing = False

    def accept(self, early: bytes = b"") -> Connection:
        """The protocol of a new connection, of which somebody else may have read the beginning."""
        return Connection(self, early)

    def too_large(self) -> Refusal:
        """The refusal of a body over the limit."""
        return Refusal(413, f"The body is larger than {self.body_limit} bytes")

    def drain(self) -> None:
        """From now on every reply is the last of its connection; idle connections are closed."""
        self.closing = True
        for connection in list(self.open):
            if not connection.exchanges:
                connection.close()

    def close_idle(self) -> None:
        """Close connections on which nothing has come or gone for long."""
        now = time.monotonic()
        for connection in list(self.open):
            if not connection.exchanges and now - connection.used > IDLE_SECONDS:
                connection.close()


class Connection(asyncio.Protocol):
    """One connection. asyncio feeds it bytes, the parser calls the `on_…` methods."""

    def __init__(self, server: Connections, early: bytes = b"") -> None:
        self.server = server
        self.early = early
        self.transport: asyncio.Transport | None = None
        self.exchanges: deque[Exchange] = deque()
        self.used = time.monotonic()
        self.last = False
        self.start_message()

    def start_message(self) -> None:
        """Forget the message before."""
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []
        self.size = 0
        self.parser: Any = getattr(self, "parser", None) or httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = cast(asyncio.Transport, transport)
        self.server.open.add(self)
        if self.early:
            self.data_received(self.early)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits any more for what is under way."""
        self.transport = None
        self.server.open.discard(self)

    def eof_received(self) -> bool:
        """Whoever closes half of a connection may still read the reply to what was sent before."""
        self.last = True
        return bool(self.exchanges)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self.used = time.monotonic()
        if self.last:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refuse_and_close(Refusal(400, "This server speaks HTTP/1.1 only"))
        except httptools.HttpParserError as error:
            self.refuse_and_close(Refusal(400, f"The request is not HTTP: {error}"))

    def on_message_begin(self) -> None:
        """A new request on this connection."""
        self.start_message()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Refuse at once what is far too large; ask for the body of a caller who waits for that."""
        announced = int(self.headers.get(b"content-length") or 0)
        if announced > PATIENCE * self.server.body_limit:
            self.refuse_and_close(self.server.too_large())
        elif self.headers.get(b"expect", b"").lower() == b"100-continue" and self.transport:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body; what is over the limit is read and dropped."""
        self.size += len(body)
        if self.size > PATIENCE * self.server.body_limit:
            self.refuse_and_close(self.server.too_large())
        elif self.size > self.server.body_limit:
            self.chunks.clear()
        else:
            self.chunks.append(body)

    def on_message_complete(self) -> None:
        """Hand the request on."""
        if self.last:
            return
        exchange = Exchange(self, self.parser.should_keep_alive(), self.size > self.server.body_limit)
        self.exchanges.append(exchange)
        if len(self.exchanges) > 1 and self.transport:
            # Whoever sends the next request before the reply to this one is not read faster than answered.
            self.transport.pause_reading()
        path = self.server.door.behind(self.url.partition(b"?")[0])
        if path is None:
            exchange.respond(refuse(Refusal(404, "Not found")))
            return
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        request = Request(path.decode("latin-1"), self.headers, body, self.server.body_limit)
        self.server.handle(self.parser.get_method().decode("latin-1"), request, exchange)

    def refuse_and_close(self, refusal: Refusal) -> None:
        """Answer what cannot be read on from, and hang up after it."""
        if not self.last:
            self.last = True
            exchange = Exchange(self, keep_alive=False)
            self.exchanges.append(exchange)
            exchange.respond(refuse(refusal))

    def flush(self) -> None:
        """Send the replies that are there, in order."""
        while self.exchanges and self.exchanges[0].reply is not None:
            exchange = self.exchanges.popleft()
            if self.transport is None or exchange.reply is None:
                continue
            ends = self.server.closing or self.last or CLOSE in exchange.reply.headers
            keep = exchange.keep_alive and not ends
            send(self.transport, exchange.reply, keep)
            if not keep:
                self.close()
            elif len(self.exchanges) == 1:
                self.transport.resume_reading()

    def close(self) -> None:
        """Hang up once everything is sent."""
        if self.transport:
            self.transport.close()


def send(transport: asyncio.Transport, reply: Reply, keep_alive: bool) -> None:
    """Write a reply in one go."""
    head = [
        REASONS.get(reply.status) or f"HTTP/1.1 {reply.status} \r\n".encode(),
        b"content-type: %b\r\ncontent-length: %d\r\n" % (reply.content_type, len(reply.body)),
        *(b"%b: %b\r\n" % header for header in reply.headers if header != CLOSE),
        b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
    ]
    transport.write(b"".join((*head, reply.body)))
