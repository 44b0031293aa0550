"""A call of an operation as data. The generated methods make calls; transports carry them out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import UNSET, Struct

Value = TypeVar("Value")
Body = TypeVar("Body", bound=Struct)
Id = UUID | str


@dataclass(frozen=True)
class Call(Generic[Value]):
    """One call: which operation, with which ids, query and body, and the type of its answer."""

    operation: str
    method: str
    route: str
    returns: type[Value]
    path: dict[str, Id] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Struct | None = None


class Send(Protocol):
    """Carries a call out and gives its value, or raises an error of `luml_app.schemas.errors`."""

    def __call__(self, call: Call[Value]) -> Value:
        """The value of the call."""


class SendAsync(Protocol):
    """The same for asyncio."""

    def __call__(self, call: Call[Value]) -> Awaitable[Value]:
        """The value of the call, to be awaited."""


class Group:
    """The operations of one resource, called through `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send


class AsyncGroup:
    """The operations of one resource, awaited through `send`."""

    def __init__(self, send: SendAsync) -> None:
        self._send = send


def body(kind: Callable[..., Body], **fields: Any) -> Body:
    """A body with the fields that were given; what is UNSET is left out."""
    return kind(**{name: value for name, value in fields.items() if value is not UNSET})
