"""Requests that are kept with what was answered: of deployments that are monitored, a share, in bounded room.

They are kept as lines of a log are, in a folder beside the logs, so they are read and followed as logs are.
"""

from __future__ import annotations

import asyncio
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from satellite.gateway.exchange import JSON
from satellite.gateway.log_stream import LogStreams
from satellite.logs.kept import Kept, LogFolder, now

if TYPE_CHECKING:
    from satellite.gateway.dispatch import Answered, Order
    from satellite.gateway.routes import Route

log = logging.getLogger("satellite.gateway")

ROOM = 16 * 1024 * 1024
"""Bytes that are kept of one deployment."""
MOST_KEPT = 64 * 1024
"""Of a larger body only the size is kept."""
WAITING = 256
"""So many requests may wait to be written; the disk is not to hold up callers."""
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Recorded(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request. `asked` and `answered` are its bodies where they are JSON of up to 64 KiB; sizes in bytes."""

    request_id: str
    path: str
    status: int
    seconds: float
    digest: str
    asked_bytes: int
    answered_bytes: int | None
    asked: msgspec.Raw | None = None
    answered: msgspec.Raw | None = None


class Recorder:
    """Writes beside the requests, in a thread of its own."""

    def __init__(self, root: Path) -> None:
        self.streams = LogStreams(root)
        self.root = root
        self.thread = ThreadPoolExecutor(1, "requests")
        self.waiting = 0

    def keep(self, route: Route, answered: Answered, seconds: float) -> None:
        """Keep this request or not, as chance will have it; its answer is still in its connection."""
        if route.monitoring and self.waiting < WAITING and random.random() * 100 < route.monitoring:  # noqa: S311
            order, backend, answer = answered.order, answered.backend, answered.connection.answer
            told = b"".join(answer.chunks) if answer.complete else None
            line = Recorded(
                dict(order.headers)[b"x-request-id"].decode(), order.path, answer.status, round(seconds, 6),
                backend.digest, order.body.size if order.body else 0, answer.length if told is None else len(told),
            )  # fmt: skip
            revision = route.numbers.get(backend.revision, backend.revision)
            bodies = (asked_json(order), told if answer.content_type.startswith(JSON) else None)
            self.waiting += 1
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self.thread, self.write, order.deployment_id, revision, line, *bodies)
            done.add_done_callback(self.written)

    def write(self, deployment_id: str, revision: str, line: Recorded, asked: bytes | None, told: bytes | None) -> None:
        """One line."""
        whole = msgspec.structs.replace(line, asked=without_attributes(asked), answered=as_raw(told))
        kept = Kept(now(), "request", revision, None, msgspec.json.encode(whole).decode())
        LogFolder(self.root / deployment_id, ROOM).append([kept])

    def written(self, done: asyncio.Future[None]) -> None:
        """One less waits."""
        self.waiting -= 1
        if error := done.exception():
            log.warning("A request could not be kept: %s", error)


def asked_json(order: Order) -> bytes | None:
    """What was asked, where it is JSON and can be shown."""
    body, headers = order.body, dict(order.headers)
    is_json = headers.get(b"content-type", JSON).startswith(JSON) and b"content-encoding" not in headers
    if body is None or body.size > MOST_KEPT or body.in_memory is None or not is_json:
        return None
    return b"".join(body.in_memory)


def without_attributes(body: bytes | None) -> msgspec.Raw | None:
    """The body with the values of dynamic attributes hidden, for callers send secrets in them."""
    try:
        asked: Any = msgspec.json.decode(body) if body is not None else None
    except NOT_JSON:
        return None
    if not isinstance(asked, dict):
        return as_raw(body)
    hidden = {
        name: dict.fromkeys(asked[name], "***")
        for name in ("dynamic_attributes", "parameters", "params")
        if isinstance(asked.get(name), dict)
    }
    return msgspec.Raw(msgspec.json.encode({**asked, **hidden}))


def as_raw(body: bytes | None) -> msgspec.Raw | None:
    """JSON as it is; None where it is none, or too much of it."""
    if body is None or len(body) > MOST_KEPT:
        return None
    try:
        msgspec.json.decode(body)
    except NOT_JSON:
        return None
    return msgspec.Raw(body)
