"""What every protocol is made of: a request, the call that it asks of the model, and the reply.

A protocol turns a request into a `Call`, whose inputs are numpy arrays (or JSON values) that fit the manifest, and the
model's outputs into a `Reply`. What runs the model needs to know no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .model import LoadedModel

JSON = b"application/json"
ENCODE = msgspec.json.Encoder().encode
Inputs = dict[str, Any]
Outputs = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request as it came: `headers` by their names in small letters, `body` as sent (perhaps compressed).

    `limit` is the largest body in bytes, compressed or not.
    """

    path: str
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    limit: int = 64 * 1024 * 1024

    def header(self, name: bytes) -> str:
        """The value of a header, or nothing."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def content_type(self) -> str:
        """The media type of the body in small letters, without its parameters."""
        return self.header(b"content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Reply:
    """An answer, ready to be sent."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Call:
    """One run of the model: what goes in, and how what comes out is told.

    `answer` raises Refusal where the protocol cannot carry an output, and TypeError where nothing could.
    """

    inputs: Inputs
    attributes: dict[str, str]
    answer: Callable[[Outputs], Reply]


class Refusal(Exception):  # noqa: N818
    """The request is not answered: a status, one sentence, and where in the body the trouble is, if it is there."""

    def __init__(self, status: int, message: str, location: list[str | int] | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.location = location
        self.kind = kind

    @property
    def detail(self) -> Any:
        """What the contract calls `detail`: a list of places for what does not fit the model, else a sentence."""
        if self.location is None:
            return self.message
        return [{"loc": ["body", *self.location], "msg": self.message, "type": self.kind}]


@dataclass(frozen=True)
class Protocol:
    """A way of asking. `prepare` raises Refusal; `refuse` tells one in the form that the protocol's clients read."""

    prepare: Callable[[LoadedModel, Request, Mapping[str, str]], Call]
    refuse: Callable[[Refusal], Reply]


def refuse(refusal: Refusal) -> Reply:
    """A refusal in the contract's form."""
    return Reply(refusal.status, ENCODE({"detail": refusal.detail}))
