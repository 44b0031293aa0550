"""Reading a deployment's log, straight from its satellite. Following goes on after an interruption where it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict
from urllib.parse import urlsplit

import httpx
import msgspec

from luml_app.client.connections import explained, options
from luml_app.client.wire import error_of
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import Conflict, LumlError, NotFound, ServerFault, TooManyRequests, Unavailable
from luml_app.schemas.logs import LogLine, RequestRecord
from luml_app.schemas.satellites import Satellite

CONNECT_PATIENCE = 5.0
"""Seconds for which a satellite is awaited that does not listen at first: it may be starting again."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
TIMEOUT = httpx.Timeout(10, read=60)
"""Whoever follows hears something every 15 seconds."""

Since = datetime | timedelta
_LINE = msgspec.json.Decoder(LogLine)


class Chosen(TypedDict, total=False):
    """Which lines: the last so many (`tail`), from a time on or for so long (`since`), of a revision by its number, of
    a replica; with `follow` also those to come.
    """

    follow: bool
    tail: int | None
    since: Since | None
    revision: int | str | None
    replica: int | None


def log_url(deployment: Deployment, satellite: Satellite, kind: str = "logs") -> str:
    """Where the log of a deployment, or its recorded `requests`, are read. Raises Conflict while its satellite has not
    been started.
    """
    if not satellite.base_url:
        name = satellite.name or satellite.id
        raise Conflict(f"The satellite {str(name)!r} has not been started yet, so nothing has been logged.")
    if urlsplit(satellite.base_url).scheme not in {"http", "https"}:
        raise Unavailable(f"The satellite's address {satellite.base_url!r} is not one that can be called.")
    return f"{satellite.base_url.rstrip('/')}/deployments/{deployment.id}/{kind}"


@dataclass
class Reading:
    """What is asked for, how far it has come, and what to do when it is interrupted; without any I/O."""

    url: str
    key: str | None
    follow: bool = False
    tail: int | None = None
    since: Since | None = None
    revision: int | str | None = None
    replica: int | None = None
    last: str = ""
    begun: bool = False
    started: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE
    _held: bytes = b""

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of `httpx.Client.stream` for what is still to come."""
        moment = datetime.now(UTC) - self.since if isinstance(self.since, timedelta) else self.since
        if moment is not None and moment.tzinfo is None:
            moment = moment.astimezone()
        place = {"after": self.last} if self.last else {"tail": self.tail}
        chosen = {"since": moment and moment.isoformat(), "revision": self.revision, "replica": self.replica}
        asked = {**place, **chosen, "follow": "true" if self.follow else None}
        return {
            "method": "GET", "url": self.url, "timeout": TIMEOUT,
            "params": {name: str(value) for name, value in asked.items() if value is not None},
            "headers": {"Authorization": f"Bearer {self.key}"} if self.key else {},
        }  # fmt: skip

    def lines(self, piece: bytes) -> Iterator[LogLine]:
        """The lines that are complete with this piece of the answer."""
        self.begun, self.pause = True, FIRST_PAUSE
        *whole, self._held = (self._held + piece).split(b"\n")
        for raw in whole:
            if raw.strip():
                try:
                    line = _LINE.decode(raw)
                except msgspec.MsgspecError as error:
                    raise ServerFault(f"A line of the log is not what was expected: {error}") from error
                self.last = line.id
                yield line

    def refused(self, status: int, headers: Any, content: bytes) -> LumlError | None:
        """The error that an answer reports; None where it says that there is nothing more to follow."""
        if status == 404 and self.begun:
            return None
        if status == 404 and b"no such deployment" not in content:
            return NotFound("The satellite keeps no logs: it is older than this client. Update it.")
        return error_of("logs", status, headers, content)

    def again(self, error: Exception) -> float:
        """Seconds until the next attempt. Raises the error, as one of ours, when there shall be none."""
        self._held = b""
        patient = self.begun or time.monotonic() - self.started < CONNECT_PATIENCE
        if not (self._passes(error) and patient and (self.follow or not self.begun)):
            raise error if isinstance(error, LumlError) else self._unreachable(error)
        asked = getattr(error, "retry_after", None)
        pause, self.pause = self.pause, min(LONGEST_PAUSE, self.pause * 2)
        return asked if asked is not None else pause

    def _passes(self, error: Exception) -> bool:
        if isinstance(error, LumlError):
            return isinstance(error, (Unavailable, TooManyRequests))
        wrong = isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError))
        return not wrong and (self.begun or not isinstance(error, httpx.TimeoutException))

    def _unreachable(self, error: Exception) -> Unavailable:
        why = explained(error)  # type: ignore[arg-type]
        place = urlsplit(self.url).netloc
        return Unavailable(
            f"The satellite does not answer at {place} ({why}). Logs are read straight from the satellite: is it "
            "running, and is its SATELLITE_BASE_URL an address that can be reached from here?"
        )


def read(http: httpx.Client, reading: Reading) -> Iterator[LogLine]:
    """The lines. Raises what the satellite reports, and Unavailable when it does not answer."""
    while True:
        try:
            with http.stream(**reading.request) as answer:
                if not answer.is_success:
                    if (refusal := reading.refused(answer.status_code, answer.headers, answer.read())) is None:
                        return
                    raise refusal
                for piece in answer.iter_bytes():
                    yield from reading.lines(piece)
            if not reading.follow:
                return
            reading.begun = True
            pause = FIRST_PAUSE
        except (httpx.HTTPError, httpx.InvalidURL, LumlError) as error:
            pause = reading.again(error)
        time.sleep(pause)


async def read_async(reading: Reading) -> AsyncIterator[LogLine]:
    """The same for asyncio."""
    async with httpx.AsyncClient(**options()) as http:
        while True:
            try:
                async with http.stream(**reading.request) as answer:
                    if not answer.is_success:
                        told = await answer.aread()
                        if (refusal := reading.refused(answer.status_code, answer.headers, told)) is None:
                            return
                        raise refusal
                    async for piece in answer.aiter_bytes():
                        for line in reading.lines(piece):
                            yield line
                if not reading.follow:
                    return
                reading.begun = True
                pause = FIRST_PAUSE
            except (httpx.HTTPError, httpx.InvalidURL, LumlError) as error:
                pause = reading.again(error)
            await asyncio.sleep(pause)


def record_of(line: LogLine) -> RequestRecord:
    """A recorded request from its line. Raises ServerFault where it is none."""
    try:
        told = msgspec.json.decode(line.line)
        return msgspec.convert({"id": line.id, "time": line.time, "revision": line.revision, **told}, RequestRecord)
    except (msgspec.MsgspecError, TypeError) as error:
        raise ServerFault(f"A recorded request is not what was expected: {error}") from error
