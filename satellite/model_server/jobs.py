"""A request on its way through the model server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .connection import Exchange
from .exchange import Call, Protocol, Refusal, Reply, Request

RETRY_AFTER = ((b"retry-after", b"1"),)


@dataclass(eq=False)
class Job:
    """One request, from its arrival to its reply. `call` is there once it has been read."""

    protocol: Protocol
    request: Request
    exchange: Exchange
    arrived: float = field(default_factory=time.monotonic)
    call: Call | None = None
    rows: int = 0

    @property
    def over(self) -> bool:
        """Whether it needs no more work: it has been answered, or nobody waits."""
        return self.exchange.reply is not None or self.exchange.gone

    def respond(self, reply: Reply) -> None:
        """Answer it."""
        self.exchange.respond(reply)

    def refuse(self, status: int, message: str) -> None:
        """Answer that there is no answer, in the words of its protocol."""
        reply = self.protocol.refuse(Refusal(status, message))
        headers = RETRY_AFTER if status == 503 else ()
        self.respond(Reply(reply.status, reply.body, reply.content_type, (*reply.headers, *headers)))
