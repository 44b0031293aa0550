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
from .exchange import Protocol, Refusal, Reply, Request, refuse
from .model import LoadedModel, ModelSlot
from .protocols import protocol_at, read

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ENCODE = msgspec.json.Encoder().encode


class BodyTooLarge(Exception):  # noqa: N818
    """The body is larger than this server takes."""


class ModelApp:
    """`POST /compute`, `GET /healthz`, `GET /manifest`, `GET /openapi.json` over one model slot.

    `attributes` gives the dynamic attributes that a request leaves out. The model computes in a small pool of threads,
    so that a slow request never keeps `/healthz` from answering.
    """

    def __init__(self, slot: ModelSlot, body_limit: int, attributes: Callable[[], dict[str, str]]) -> None:
        self.slot = slot
        self.body_limit = body_limit
        self.attributes = attributes
        self.threads = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="compute")
        self.reads: dict[str, Callable[[LoadedModel], Any]] = {
            "/manifest": lambda model: model.manifest,
            "/openapi.json": openapi.document,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        reply = await self.answer(scope, receive)
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """Route by path; every path knows one method."""
        path, method = scope["path"], scope["method"]
        if protocol := protocol_at(path):
            return await self.compute(protocol, scope, receive) if method == "POST" else problem(405, "Use POST")
        if method == "GET" and (told := read(self.slot, Request(path, dict(scope["headers"])))):
            return told
        if method != "GET":
            return problem(405, "Use GET") if path in {"/healthz", *self.reads} else problem(404, "Not found")
        if path == "/healthz":
            return self.health()
        if path in self.reads:
            return Reply(200, ENCODE(self.reads[path](self.slot.model))) if self.slot.model else self.not_ready(refuse)
        return problem(404, "Not found")

    def health(self) -> Reply:
        """200 once the model is ready; 503 while it loads and when it failed, with the end of the traceback."""
        state = {"status": self.slot.state}
        if self.slot.error:
            state["error"] = self.slot.error
        return Reply(200 if self.slot.state == "ready" else 503, ENCODE(state))

    def not_ready(self, told: Callable[[Refusal], Reply]) -> Reply:
        """Why there is no model to ask."""
        loading = self.slot.state == "loading"
        return told(Refusal(503, "The model is loading" if loading else "The model failed to load"))

    async def compute(self, protocol: Protocol, scope: Scope, receive: Receive) -> Reply:
        """Read, then check and run in a thread."""
        try:
            body = await read_body(receive, self.body_limit)
        except BodyTooLarge:
            return protocol.refuse(Refusal(413, f"The body is larger than {self.body_limit} bytes"))
        model = self.slot.model
        if model is None:
            return self.not_ready(protocol.refuse)
        request = Request(scope["path"], dict(scope["headers"]), body, self.body_limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, run, protocol, model, request, self.attributes())


def run(protocol: Protocol, model: LoadedModel, request: Request, defaults: dict[str, str]) -> Reply:
    """One request from bytes to bytes. The model's own mistakes are 500 with their last line, never a crash."""
    try:
        call = protocol.prepare(model, request, defaults)
        return call.answer(model.compute(call.inputs, call.attributes))
    except Refusal as refusal:
        return protocol.refuse(refusal)
    except Exception as error:  # the model is foreign code: it may raise anything
        traceback.print_exc(file=sys.stderr)
        return protocol.refuse(Refusal(500, f"The model failed: {type(error).__name__}: {error}"))


def problem(status: int, detail: str) -> Reply:
    """An error in the contract's form."""
    return refuse(Refusal(status, detail))


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
