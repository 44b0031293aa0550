"""Which protocol is spoken at which path."""

from __future__ import annotations

from . import open_inference
from .contract import COMPUTE
from .exchange import Protocol, Reply, Request
from .invocations import INVOCATIONS
from .model import ModelSlot

PROTOCOLS = {"/compute": COMPUTE, "/invocations": INVOCATIONS}


def protocol_at(path: str) -> Protocol | None:
    """The protocol whose requests are posted to a path."""
    return PROTOCOLS.get(path) or (open_inference.OPEN_INFERENCE if open_inference.is_inference(path) else None)


def read(slot: ModelSlot, request: Request) -> Reply | None:
    """The answer to a GET that belongs to a protocol; None where it does not."""
    is_ours = request.path == "/v2" or request.path.startswith("/v2/")
    return open_inference.read(slot, request) if is_ours else None
