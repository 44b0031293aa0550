"""The HTTP face of the model: which path is answered by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from . import openapi
from .connection import CLOSE, Connections, Exchange
from .engine import Engine
from .exchange import Protocol, Refusal, Reply, Request, refuse
from .model import LoadedModel, ModelSlot
from .protocols import protocol_at, read

ENCODE = msgspec.json.Encoder().encode


class ModelApp:
    """`POST` at the paths of the protocols, `GET /healthz`, `/manifest`, `/openapi.json`, over one model slot.

    `start_engine` makes what runs the model, once that is loaded; `health` says how the server as a whole is.
    """

    def __init__(
        self,
        slot: ModelSlot,
        body_limit: int,
        start_engine: Callable[[LoadedModel], Engine],
        health: Callable[[], dict[str, str]],
    ) -> None:
        self.slot = slot
        self.start_engine = start_engine
        self.engine: Engine | None = None
        self.health = health
        self.connections = Connections(self.handle, body_limit)
        self.reads: dict[str, Callable[[LoadedModel], Any]] = {
            "/manifest": lambda model: model.manifest,
            "/openapi.json": openapi.document,
        }

    def handle(self, method: str, request: Request, exchange: Exchange) -> None:
        """Answer one request, now or later."""
        if (protocol := protocol_at(request.path)) is None:
            exchange.respond(self.read(method, request))
        elif method != "POST":
            exchange.respond(problem(405, "Use POST"))
        elif exchange.too_large:
            exchange.respond(protocol.refuse(self.connections.too_large()))
        else:
            self.compute(protocol, request, exchange)

    def compute(self, protocol: Protocol, request: Request, exchange: Exchange) -> None:
        """Have the model run, if there is one."""
        model = self.slot.model
        if model is None:
            exchange.respond(self.not_ready(protocol.refuse))
            return
        if self.engine is None:
            self.engine = self.start_engine(model)
        self.engine.submit(protocol, request, exchange)

    def read(self, method: str, request: Request) -> Reply:
        """What can be known without running the model; every path knows one method."""
        if method == "GET" and (told := read(self.slot, request)):
            return told
        path = request.path
        if path != "/healthz" and path not in self.reads:
            return problem(404, "Not found")
        if method != "GET":
            return problem(405, "Use GET")
        if path == "/healthz":
            return health_reply(self.health())
        return Reply(200, ENCODE(self.reads[path](self.slot.model))) if self.slot.model else self.not_ready(refuse)

    def not_ready(self, told: Callable[[Refusal], Reply]) -> Reply:
        """Why there is no model to ask."""
        loading = self.slot.state == "loading"
        return told(Refusal(503, "The model is loading" if loading else "The model failed to load"))


def health_reply(state: dict[str, str]) -> Reply:
    """200 when ready, else 503, with the end of the traceback of a model that failed to load.

    The connection ends with it: whoever asks again is heard even if this process is not to be spoken to by then.
    """
    return Reply(200 if state["status"] == "ready" else 503, ENCODE(state), headers=(CLOSE,))


def problem(status: int, detail: str) -> Reply:
    """An error in the contract's form."""
    return refuse(Refusal(status, detail))
