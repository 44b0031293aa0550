"""Keep-alive connections to model servers. A pooled connection costs a tenth of what a general HTTP client does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

IDLE_KEPT = 32


class UpstreamGone(Exception):  # noqa: N818
    """The model server cannot be reached, or hung up in the middle of an answer."""


class Unreachable(UpstreamGone):
    """Nothing listens there: no request was seen by anybody."""


class StaleConnection(UpstreamGone):
    """A kept connection turned out to be closed before a byte of the answer came: another one may be tried."""


@dataclass
class Answer:
    """Status, content type and whole body of an answer."""

    status: int = 0
    content_type: str = "application/json"
    body: bytes = b""


@dataclass
class Connection(asyncio.Protocol):
    """One connection, one request at a time. asyncio switches Nagle's delay off on the sockets it makes."""

    transport: asyncio.Transport | None = None
    waiting: asyncio.Future[Answer] | None = None
    answer: Answer = field(default_factory=Answer)
    chunks: list[bytes] = field(default_factory=list)
    begun: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods below."""
        self.begun = True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(UpstreamGone(f"The model server does not speak HTTP: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the request that was under way."""
        kind = UpstreamGone if self.begun else StaleConnection
        self.fail(kind("The model server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only the content type is passed on."""
        if name.lower() == b"content-type":
            self.answer.content_type = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.answer.status = self.parser.get_status_code()
        self.answer.body = b"".join(self.chunks)
        if self.waiting and not self.waiting.done():
            self.waiting.set_result(self.answer)
        if not self.parser.should_keep_alive():
            self.close()

    async def ask(self, request: bytes, body: bytes) -> Answer:
        """Send one request and wait for its answer."""
        if self.transport is None or self.transport.is_closing():
            raise StaleConnection("The connection is closed")
        self.parser = httptools.HttpResponseParser(self)
        self.answer, self.chunks, self.begun = Answer(), [], False
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.writelines([request, body])
        return await self.waiting

    def fail(self, error: Exception) -> None:
        """End the request under way, if there is one."""
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(error)

    def close(self) -> None:
        """Hang up."""
        if self.transport:
            self.transport.close()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self.transport is not None and not self.transport.is_closing()


class Upstreams:
    """Idle connections by the address they lead to."""

    def __init__(self) -> None:
        self.idle: dict[str, list[Connection]] = defaultdict(list)

    async def post(self, url: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """POST a JSON body; raises UpstreamGone. Cancelling it (a timeout) closes the connection it used."""
        request = request_head(url, path, len(body), headers)
        while self.idle[url]:
            connection = self.idle[url].pop()
            if connection.usable:
                try:
                    return await self.exchange(url, connection, request, body)
                except StaleConnection:
                    continue
        return await self.exchange(url, await connect(url), request, body)

    async def exchange(self, url: str, connection: Connection, request: bytes, body: bytes) -> Answer:
        """One request over one connection, which is kept for the next if it ends well."""
        try:
            answer = await connection.ask(request, body)
        except BaseException:
            connection.close()
            raise
        if connection.usable and len(self.idle[url]) < IDLE_KEPT:
            self.idle[url].append(connection)
        else:
            connection.close()
        return answer

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
        _, connection = await loop.create_connection(Connection, address.hostname or "", address.port or 80)
    except OSError as error:
        raise Unreachable(f"The model server cannot be reached: {error}") from error
    return connection


def request_head(url: str, path: str, length: int, headers: dict[str, str]) -> bytes:
    """The request line and headers of a POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
