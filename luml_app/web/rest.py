"""REST: one thin handler for all operations. It parses, calls, and writes JSON."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from typing import Any

import msgspec
from tornado.iostream import StreamClosedError
from tornado.routing import Rule
from tornado.web import RequestHandler, stream_request_body

from luml_app.core.operations import Operation
from luml_app.core.service import Answer, Request
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Invalid, LumlError, NotFound, ServerFault, TooLarge, Unavailable
from luml_app.web import bodies
from luml_app.web.errors import body_of, status_of
from luml_app.web.house import House
from luml_app.web.metrics import REQUESTS, SECONDS
from luml_app.web.paths import OperationPaths
from luml_app.web.principal import check_origin, credentials_of

log = logging.getLogger(__name__)
_NARROWING = frozenset({"as_of", "filter", "sha256", "since", "until"})
"""Where they mean nothing they are refused, so that nobody takes the present for the past, or all for some. Other
parameters that mean nothing are ignored, as older clients expect; none of them knows these.
"""


def rest_route(house: House) -> Rule:
    """The route of all operations."""
    return Rule(OperationPaths(house.service.operations.values(), house=house), OperationHandler)


class JsonHandler(RequestHandler):
    """Answers in JSON, errors included."""

    def set_default_headers(self) -> None:
        """No sniffing, no caching of what is private."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")

    def write_json(self, value: Any, status: int = 200) -> None:
        """Finish with a JSON body."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(value))

    def write_failure(self, error: LumlError) -> None:
        """Finish with an error."""
        if error.retry_after is not None:
            self.set_header("Retry-After", str(math.ceil(error.retry_after)))
        if status_of(error) == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.write_json(body_of(error), status_of(error))

    def write_error(self, status_code: int, **_: Any) -> None:
        """What Tornado itself refuses, in the same form. It may not have read the body: the connection ends here."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Connection", "close")
        self.finish(msgspec.json.encode({"detail": self._reason}))


class UnknownPath(JsonHandler):
    """Answers for paths that are none."""

    def prepare(self) -> None:
        """Say so."""
        self.write_failure(NotFound("There is nothing at this address; the reference is at /docs/api."))


@stream_request_body
class OperationHandler(JsonHandler):
    """Runs the operation of a path and a method. Takes the body piece by piece, to refuse what is too large early."""

    def initialize(self, house: House, methods: dict[str, Operation]) -> None:
        """Tornado's constructor."""
        self.house = house
        self._room = house.room
        self._taken = 0
        self.methods = methods
        self._gone = False
        self._pieces: list[bytes] = []
        self._left = house.settings.max_body_bytes

    def prepare(self) -> None:
        """Refuse an announced body that is too large, without reading it."""
        announced = self.request.headers.get("Content-Length", "0")
        # Tornado's own limit would end the connection without a word.
        connection: Any = self.request.connection
        connection.set_max_body_size(sys.maxsize)
        connection.set_body_timeout(bodies.SECONDS)
        if announced.isdigit() and int(announced) > self._left:
            self._refuse_body()

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._finished:
            return
        self._left -= len(chunk)
        if self._left < 0:
            self._refuse_body()
        elif self._make_room():
            self._pieces.append(chunk)
        else:
            self._end(Unavailable("Too many large bodies arrive at once; try again in a moment.", retry_after=1))

    def _make_room(self) -> bool:
        """Take the room that what has arrived of the body needs; whether there is as much."""
        arrived = self.house.settings.max_body_bytes - self._left
        more = max(0, arrived - bodies.SMALL) - self._taken
        if not self._room.take(more):
            return False
        self._taken += more
        return True

    def _refuse_body(self) -> None:
        limit = self.house.settings.max_body_bytes
        self._end(TooLarge(f"The body may have {limit} bytes; LUML_MAX_BODY_BYTES sets that."))

    def _end(self, error: LumlError) -> None:
        """Answer without reading on."""
        self._forget_body()
        self.set_header("Connection", "close")
        self.write_failure(error)

    def _forget_body(self) -> None:
        self._pieces.clear()
        self._room.left += self._taken
        self._taken = 0

    def on_finish(self) -> None:
        """Give the room of the body back."""
        self._forget_body()

    def compute_etag(self) -> None:
        """None: hashing every answer costs more than it saves."""

    def on_connection_close(self) -> None:
        """The client has left; a long poll ends."""
        self._gone = True
        self._forget_body()

    async def get(self, **path: str) -> None:
        """Run the operation."""
        await self._serve(path)

    post = put = patch = delete = get

    async def _serve(self, path: dict[str, str]) -> None:
        operation = self.methods.get(self.request.method or "")
        if operation is None:
            self.set_header("Allow", ", ".join(sorted(self.methods)))
            self.write_json({"detail": "Method Not Allowed"}, 405)
            return
        started = time.perf_counter()
        try:
            await self._run(operation, path)
        except LumlError as error:
            self.write_failure(error)
        except Exception:
            log.exception("%s failed", operation.name)
            self.write_failure(ServerFault())
        finally:
            REQUESTS.labels(operation.name, str(self.get_status())).inc()
            if operation.wakes_on is None:
                SECONDS.labels(operation.name).observe(time.perf_counter() - started)

    async def _run(self, operation: Operation, path: dict[str, str]) -> None:
        check_origin(self.request, reads=operation.open_to_links)
        credentials = credentials_of(self.request)
        request = Request(operation, path, self._query(operation), b"".join(self._pieces), credentials)
        answer = await self._answer(request)
        if operation.streams:
            await self._stream(request, answer)
            return
        set_cookies(self, answer, self.house.settings)
        if operation.status == 204:
            self.set_status(204)
            self.finish()
        else:
            self.write_json(answer.value, operation.status)

    async def _stream(self, request: Request, answer: Answer) -> None:
        """Write the items of all pages, each page when the client has taken the one before, and with permission asked
        for anew. An error between pages ends the connection: nobody shall take a part for the whole.
        """
        self.set_header("Content-Type", "application/x-ndjson")
        try:
            while True:
                self.write(msgspec.json.Encoder().encode_lines(answer.value.items))
                if answer.value.cursor is None:
                    break
                await self.flush()
                request.query["cursor"] = answer.value.cursor
                answer = await self.house.call(request)
            self.finish()
        except StreamClosedError:
            return
        except Exception:
            log.exception("%s ended in the middle", request.operation.name)
            self.request.connection.stream.close()  # type: ignore[union-attr]  # of HTTP/1

    async def _answer(self, request: Request) -> Answer:
        prefix, seconds = request.operation.wakes_on, _seconds(request)
        if prefix is None or not seconds:
            return await self.house.call(request)
        deadline = time.monotonic() + seconds
        with self.house.hub.waiting(prefix) as waiter:
            while True:
                answer = await self.house.call(request)
                left = deadline - time.monotonic()
                if answer.value or left <= 0 or self._gone:
                    return answer
                await waiter.wait(answer.caller_id, left)

    def _query(self, operation: Operation) -> dict[str, Any]:
        sent: dict[str, Any] = {}
        if misplaced := next(
            (one for one in _NARROWING - operation.query.keys() if one in self.request.query_arguments), None
        ):
            raise Invalid.field(misplaced, f"{operation.name} does not take this parameter.", where="query")
        for name, parameter in operation.query.items():
            try:
                values = [raw.decode() for raw in self.request.query_arguments.get(name, [])]
            except UnicodeDecodeError as error:
                raise Invalid.field(name, "This is not UTF-8.", where="query") from error
            if values:
                sent[name] = values if "list[" in str(parameter.annotation) else values[-1]
        return sent


def set_cookies(handler: RequestHandler, answer: Answer, settings: Settings) -> None:
    """Give the browser the cookies of an answer: out of the reach of scripts and of other sites' forms."""
    secure = settings.secure or handler.request.protocol == "https"
    options: dict[str, Any] = {"path": "/", "httponly": True, "samesite": "Lax", "secure": secure}
    for name, (value, seconds) in answer.cookies.items():
        if seconds:
            handler.set_cookie(name, value, max_age=seconds, **options)
        else:
            handler.clear_cookie(name, **options)


def _seconds(request: Request) -> float:
    try:
        return min(max(float(request.query.get("wait") or 0), 0.0), 60.0)
    except ValueError:
        return 0.0


async def until_ready(house: House) -> bool:
    """Whether the database answers and has this code's schema."""
    from luml_app.core.migrating import is_current

    try:
        return await asyncio.get_running_loop().run_in_executor(house.threads, is_current, house.database)
    except LumlError:
        return False
