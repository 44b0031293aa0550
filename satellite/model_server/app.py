"""The HTTP face of the model: a bare ASGI app, because a framework costs more than most models do."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from . import openapi
from .inputs import InvalidInput, check_request
from .model import LoadedModel, ModelSlot
from .outputs import encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, bytes]

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder().decode


class BodyTooLarge(Exception):  # noqa: N818
    """The body is larger than this server takes."""


class ModelApp:
    """`POST /compute`, `GET /healthz`, `GET /manifest`, `GET /openapi.json` over one model slot.

    The model computes in a small pool of threads, so that a slow request never keeps `/healthz` from answering.
    """

    def __init__(self, slot: ModelSlot, body_limit: int, dynamic_attributes: dict[str, str]) -> None:
        self.slot = slot
        self.body_limit = body_limit
        self.dynamic_attributes = dynamic_attributes
        self.threads = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="compute")
        self.reads: dict[str, Callable[[LoadedModel], Any]] = {
            "/manifest": lambda model: model.manifest,
            "/openapi.json": openapi.document,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            status, body = await self.answer(scope["method"], scope["path"], receive)
        except BodyTooLarge:
            status, body = problem(413, f"The body is larger than {self.body_limit} bytes")
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, method: str, path: str, receive: Receive) -> Answer:
        """Route by path; every path knows one method."""
        if path == "/compute":
            return await self.compute(receive) if method == "POST" else problem(405, "Use POST")
        if method != "GET":
            return problem(405, "Use GET") if path in {"/healthz", *self.reads} else problem(404, "Not found")
        if path == "/healthz":
            return self.health()
        if path in self.reads:
            return (200, ENCODE(self.reads[path](self.slot.model))) if self.slot.model else self.not_ready()
        return problem(404, "Not found")

    def health(self) -> Answer:
        """200 once the model is ready; 503 while it loads and when it failed, with the end of the traceback."""
        state = {"status": self.slot.state}
        if self.slot.error:
            state["error"] = self.slot.error
        return (200 if self.slot.state == "ready" else 503), ENCODE(state)

    def not_ready(self) -> Answer:
        """Why there is no model to ask."""
        return problem(503, "The model is loading" if self.slot.state == "loading" else "The model failed to load")

    async def compute(self, receive: Receive) -> Answer:
        """Read, then check and run in a thread."""
        body = await read_body(receive, self.body_limit)
        model = self.slot.model
        if model is None:
            return self.not_ready()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, run, model, body, self.dynamic_attributes)


def run(model: LoadedModel, body: bytes, defaults: dict[str, str]) -> Answer:
    """One request from bytes to bytes. The model's own mistakes are 500 with their last line, never a crash."""
    try:
        inputs, attributes = check_request(model, DECODE(body), defaults)
    except msgspec.DecodeError as error:
        return invalid([], f"The body is not JSON: {error}", "json_invalid")
    except RecursionError:
        return invalid([], "The body is nested too deeply", "json_invalid")
    except InvalidInput as error:
        return invalid(error.location, error.message, "value_error")
    try:
        return 200, encode(model.compute(inputs, attributes))
    except Exception as error:  # the model is foreign code: it may raise anything
        traceback.print_exc(file=sys.stderr)
        return problem(500, f"The model failed: {type(error).__name__}: {error}")


def invalid(location: list[str | int], message: str, kind: str) -> Answer:
    """422 in the contract's form."""
    return 422, ENCODE({"detail": [{"loc": ["body", *location], "msg": message, "type": kind}]})


def problem(status: int, detail: str) -> Answer:
    """An error in the contract's form."""
    return status, ENCODE({"detail": detail})


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body; raises BodyTooLarge as soon as it is."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
