"""Everything that can go wrong, in words of the registry; no HTTP in here.

::

    LumlError
    ├── BadRequest            the request contradicts itself
    │   └── Invalid           a field has a value that it may not have
    ├── Unauthenticated       nobody, or a credential that is not valid (any more)
    ├── Forbidden             somebody, who may not do this
    │   └── Unconfirmed       somebody whose e-mail address is not confirmed yet
    ├── NotFound              no such object, or none that the caller may know of
    ├── Conflict              the object is in a state that does not allow it
    │   └── LimitReached      the organization's limit for such objects is used up
    ├── TooLarge              the body is larger than the server takes
    ├── TooManyRequests       slow down; `retry_after` says by how much
    ├── Unavailable           the server, its database or a bucket does not answer; try again
    ├── ServerFault           a fault of the server
    └── ConfigurationError    a setting is missing or wrong

The Python API, the REST server and the in-process api raise the very same classes, so that a widget or a script
never has to know which of them it speaks to. The docstring of a class is its default message.
"""

from __future__ import annotations

import inspect
from typing import ClassVar

import msgspec


class Problem(msgspec.Struct):
    """One fault of one field: where (`loc`, e.g. ``["body", "name"]``), what (`msg`), and which kind (`type`)."""

    loc: list[str | int]
    msg: str
    type: str = "value_error"


class LumlError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").split("\n", 1)[0]
        self.retry_after = retry_after
        super().__init__(self.message)


class BadRequest(LumlError):  # noqa: N818 - the names say what happened, as in the standard library's `KeyboardInterrupt`
    """The request contradicts itself."""

    code = "bad_request"


class Invalid(BadRequest):
    """A field has a value that it may not have."""

    code = "invalid"

    def __init__(self, message: str | None = None, *, problems: list[Problem] | None = None) -> None:
        self.problems = problems or []
        if message is None and self.problems:
            message = "; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg}" for p in self.problems)
        super().__init__(message)

    @classmethod
    def field(cls, name: str, message: str, *, where: str = "body") -> Invalid:
        """A fault of one field, `name`; `where` is ``body``, ``query`` or ``path``."""
        return cls(problems=[Problem(loc=[where, *name.split(".")], msg=message)])


class Unauthenticated(LumlError):  # noqa: N818
    """Sign in, or send a valid API key."""

    code = "unauthenticated"


class Forbidden(LumlError):  # noqa: N818
    """You may not do this."""

    code = "forbidden"


class Unconfirmed(Forbidden):
    """Confirm your e-mail address first: open the link in the mail that we sent you, or ask for another one."""

    code = "unconfirmed"


class NotFound(LumlError):  # noqa: N818
    """There is no such object."""

    code = "not_found"


class Conflict(LumlError):  # noqa: N818
    """The object is in a state that does not allow this."""

    code = "conflict"


class LimitReached(Conflict):
    """The organization's limit is used up."""

    code = "limit_reached"


class TooLarge(LumlError):  # noqa: N818
    """The body is larger than the server takes."""

    code = "too_large"


class TooManyRequests(LumlError):  # noqa: N818
    """Too many requests; try again later."""

    code = "too_many_requests"


class Unavailable(LumlError):  # noqa: N818
    """The service does not answer right now; try again in a moment."""

    code = "unavailable"


class ServerFault(LumlError):  # noqa: N818
    """The server has a fault; its log says more."""

    code = "server_fault"


class ConfigurationError(LumlError):
    """A setting is missing or wrong."""

    code = "configuration"


def errors_by_code() -> dict[str, type[LumlError]]:
    """Every class of the tree by the `code` under which it travels."""
    found: dict[str, type[LumlError]] = {}
    pending: list[type[LumlError]] = [LumlError]
    while pending:
        error = pending.pop()
        found.setdefault(error.code, error)
        pending.extend(error.__subclasses__())
    return found
