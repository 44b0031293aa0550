"""One request of a caller and the answer to it."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol

import msgspec

Header = tuple[bytes, bytes]
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
JSON = b"application/json"
# The key comes in a header, never in a cookie, so any page may ask.
EVERYWHERE = (
    b"access-control-allow-origin: *\r\naccess-control-expose-headers: X-Model-Digest, X-Revision, X-Request-Id, "
    b"Retry-After, Inference-Header-Content-Length\r\n"
)
# Longer answers are not copied for the sake of one write.
COPIED = 64 * 1024


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def date(self) -> bytes:
        """The header with the time of day."""

    def write(self, *parts: bytes) -> None:
        """Send."""

    async def writable(self) -> None:
        """Wait until there is room for more."""

    def resume_reading(self) -> None:
        """Let more of the body come."""

    def finished(self, exchange: Exchange) -> None:
        """The answer is written."""

    def abort(self) -> None:
        """Hang up at once."""


class Refused(Exception):  # noqa: N818
    """An answer other than the model's: a status, its `detail`, and perhaps the seconds after which to try again."""

    def __init__(self, status: int, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    @property
    def headers(self) -> tuple[Header, ...]:
        """When to try again, if that helps."""
        return ((b"retry-after", str(math.ceil(self.retry_after)).encode()),) if self.retry_after else ()


class TooSlow(Refused):
    """The body does not come."""

    def __init__(self) -> None:
        super().__init__(408, "The body of the request comes too slowly")


class Exchange:
    """One request and the answer to it. Header names are in small letters; `path` is as sent, without the query."""

    def __init__(self, connection: Line, method: bytes, target: bytes, headers: dict[bytes, bytes]) -> None:
        self.connection = connection
        self.method = method.decode("latin-1")
        self.path = target.partition(b"?")[0].decode("latin-1")
        self.query = target.partition(b"?")[2].decode("latin-1")
        self.headers = headers
        self.request_id = request_id(headers.get(b"x-request-id", b""))
        self.keep_alive = True
        self.expects_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        self.refusal: Refused | None = None
        self.chunks: list[bytes] = []
        self.buffered = 0
        self.received = 0
        self.complete = False
        self.chunked = False
        self.begun = False
        self.finished = False
        self.waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> str:
        """The value of a header, or nothing."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def announced(self) -> int:
        """The size of the body in bytes, where it is told in advance; else 0."""
        return int(self.headers.get(b"content-length") or 0)

    async def read(self) -> bytes:
        """The next part of the body; nothing at its end. Raises TooSlow."""
        while not self.chunks and not self.complete:
            if self.expects_continue:
                self.expects_continue = False
                self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        chunk = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks, self.buffered = [], 0
        self.connection.resume_reading()
        return chunk

    def respond(
        self, status: int, body: bytes = b"", content_type: bytes = JSON, headers: Iterable[Header] = ()
    ) -> None:
        """The whole answer at once."""
        if self.begun:
            return
        head = self.head(status, content_type, headers, len(body))
        if self.method == "HEAD":
            body = b""
        if len(body) < COPIED:
            self.connection.write(head + body)
        else:
            self.connection.write(head, body)
        self.finish()

    def refuse(self, refused: Refused, told: dict[str, str] | None = None) -> None:
        """The answer that there is none."""
        self.respond(
            refused.status, msgspec.json.encode({"detail": refused.detail, **(told or {})}), JSON, refused.headers
        )

    def begin(self, status: int, content_type: bytes, headers: Iterable[Header], length: int | None) -> None:
        """The head of an answer whose body follows; `length` None where it is not known."""
        self.chunked = length is None
        self.connection.write(self.head(status, content_type, headers, length))

    async def write(self, chunk: bytes) -> None:
        """A part of the body; returns when the caller has room for more."""
        if chunk and self.method != "HEAD":
            self.connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self.chunked else chunk)
            await self.connection.writable()

    def end(self) -> None:
        """No more follows."""
        if self.chunked and self.method != "HEAD":
            self.connection.write(b"0\r\n\r\n")
        self.finish()

    def abort(self) -> None:
        """Hang up in the middle of the answer: the caller must not take what is there for all of it."""
        self.connection.abort()

    def head(self, status: int, content_type: bytes, headers: Iterable[Header], length: int | None) -> bytes:
        """Status line and headers."""
        self.begun = True
        if not self.complete:
            # What is still under way of the body would be taken for the next request.
            self.keep_alive = False
        parts = [STATUS_LINES[status], self.connection.date, EVERYWHERE]
        parts.append(b"x-request-id: %b\r\ncontent-type: %b\r\n" % (self.request_id.encode(), content_type))
        parts.extend(b"%b: %b\r\n" % header for header in headers)
        if length is None:
            parts.append(b"transfer-encoding: chunked\r\n")
        elif status != 204:
            parts.append(b"content-length: %d\r\n" % length)
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(parts)

    def finish(self) -> None:
        """The answer has been written."""
        if not self.finished:
            self.finished = True
            self.connection.finished(self)

    def feed(self, chunk: bytes) -> None:
        """A part of the body has come."""
        if not self.finished:
            self.chunks.append(chunk)
            self.buffered += len(chunk)
        self.received += len(chunk)
        self.wake()

    def wake(self, error: Exception | None = None) -> None:
        """Let `read` look again."""
        waiter, self.waiter = self.waiter, None
        if waiter and not waiter.done():
            if error:
                waiter.set_exception(error)
            else:
                waiter.set_result(None)


def request_id(given: bytes) -> str:
    """The caller's own id for the request, if it can be repeated, else a new one."""
    text = given.decode("latin-1")
    return text if 0 < len(text) <= 128 and text.isascii() and text.isprintable() else uuid.uuid4().hex
