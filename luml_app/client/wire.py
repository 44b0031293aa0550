"""Calls to HTTP and back, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from luml_app.client.calls import Call, Value
from luml_app.schemas.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    LumlError,
    NotFound,
    Problem,
    ServerFault,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    errors_by_code,
)

# For servers that send no `code`.
_BY_STATUS: dict[int, type[LumlError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request: `url` is a path with its query below the server's address."""

    method: str
    url: str
    params: list[tuple[str, str]]
    content: bytes | None
    headers: dict[str, str]
    patience: float


def request_of(call: Call[Any]) -> HttpRequest:
    """The HTTP request of a call. `patience` is how many seconds longer than usual the answer may take."""
    url = call.route
    for name, value in call.path.items():
        url = url.replace(f"{{{name}}}", quote(str(value), safe=""))
    content = None if call.body is None else msgspec.json.encode(call.body)
    headers = {} if content is None else {"Content-Type": "application/json"}
    patience = float(call.query.get("wait") or 0)
    return HttpRequest(call.method, url, list(_parameters(call.query)), content, headers, patience)


def _parameters(query: dict[str, Any]) -> Any:
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple, set)) else [value]:
            if one is not None:
                yield name, str(one).lower() if isinstance(one, bool) else str(one)


def value_of(call: Call[Value], status: int, headers: Any, content: bytes) -> Value:
    """The value of an answer. Raises the error that it reports."""
    if status >= 300:
        raise error_of(call.operation, status, headers, content)
    if call.returns is type(None):
        return None
    try:
        return msgspec.json.decode(content, type=call.returns)
    except msgspec.MsgspecError as error:
        raise ServerFault(f"{call.operation}: the server's answer is not what was expected: {error}") from error


def error_of(operation: str, status: int, headers: Any, content: bytes) -> LumlError:
    """The error that an answer reports, with the operation that met it."""
    try:
        sent = msgspec.json.decode(content)
        detail, code = sent.get("detail"), sent.get("code")
    except (msgspec.MsgspecError, AttributeError):
        detail, code = content[:200].decode(errors="replace") or None, None
    kind = errors_by_code().get(code or "") or _BY_STATUS.get(status, ServerFault)
    error = _invalid(detail) if isinstance(detail, list) else kind(None if detail is None else str(detail))
    error.message = f"{operation}: {error.message}"
    error.args = (error.message,)
    wait = headers.get("Retry-After", "")
    error.retry_after = float(wait) if wait.replace(".", "", 1).isdigit() else None
    return error


def _invalid(detail: list[Any]) -> Invalid:
    return Invalid(problems=msgspec.convert(detail, list[Problem], strict=False))
