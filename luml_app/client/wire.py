"""Calls to HTTP and back, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
from luml_app.schemas.settling import settled

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
    content = None if call.body is None else encode_body(call.operation, call.body)
    headers = {} if content is None else {"Content-Type": "application/json"}
    patience = float(call.query.get("wait") or 0)
    return HttpRequest(call.method, url, list(_parameters(call.query)), content, headers, patience)


def _parameters(query: dict[str, Any]) -> Any:
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple, set)) else [value]:
            if one is not None:
                yield name, _parameter(one)


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def encode_body(operation: str, body: Any) -> bytes:
    """A body as JSON, with NumPy's numbers and arrays as plain ones. Raises Invalid for what JSON cannot hold."""
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid(f"{operation}: a value cannot be sent as JSON: {error}") from error


def _plain(value: Any) -> Any:
    """What has a `tolist` (scalars and arrays of NumPy) as plain Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is not plain data.")


def value_of(call: Call[Value], status: int, headers: Any, content: bytes) -> Value:
    """The value of an answer. Raises the error that it reports."""
    if not 200 <= status < 300:
        raise error_of(call.operation, status, headers, content)
    if call.returns is type(None):
        return None
    try:
        return msgspec.json.decode(content, type=settled(call.returns))
    except msgspec.MsgspecError as error:
        raise ServerFault(f"{call.operation}: {_foreign(headers)} ({error})") from error


def error_of(operation: str, status: int, headers: Any, content: bytes) -> LumlError:
    """The error that an answer reports, with the operation that met it."""
    detail, code = _told(content)
    kind = errors_by_code().get(code) or _BY_STATUS.get(status, ServerFault)
    if isinstance(detail, list) and (problems := _problems(detail)):
        error: LumlError = Invalid(problems=problems)
    else:
        error = kind(str(detail) if detail else _untold(status, headers))
    error.message = f"{operation}: {error.message}"
    error.args = (error.message,)
    error.retry_after = seconds_of(headers.get("Retry-After", ""))
    return error


def seconds_of(wait: str) -> float | None:
    """The seconds of a Retry-After header; None for none, and for a date."""
    return float(wait) if wait.isascii() and wait.replace(".", "", 1).isdigit() else None


def _told(content: bytes) -> tuple[Any, str]:
    try:
        sent = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        return None, ""
    return (sent.get("detail"), str(sent.get("code") or "")) if isinstance(sent, dict) else (None, "")


def _untold(status: int, headers: Any) -> str:
    """What to say of an answer that says nothing in our words: most likely a proxy's, or another server's."""
    if 300 <= status < 400:
        return f"The server sends us on to {headers.get('Location', 'another place')}; use the address that answers."
    return f"HTTP status {status}; {_foreign(headers)}"


def _foreign(headers: Any) -> str:
    kind = str(headers.get("Content-Type", "nothing")).partition(";")[0]
    return f"the answer ({kind}) is not one of a LUML server; is the address right, and no proxy in between?"


def _problems(detail: list[Any]) -> list[Problem]:
    try:
        return msgspec.convert(detail, settled(list[Problem]), strict=False)
    except msgspec.MsgspecError:
        return []
