"""Calling a deployment from Python, with a key that opens nothing but deployments."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx
import msgspec

from luml_app.schemas.errors import Forbidden, Invalid, LumlError, Unavailable

SECONDS = 60.0
MAX_ANSWER_BYTES = 5_000_000
_KEY_MINUTES = 30
_keys: WeakKeyDictionary[Any, tuple[str, datetime]] = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What a deployment said, and how long it took, in milliseconds from first byte out to last byte in."""

    value: Any
    milliseconds: float


def key_for(api: Any) -> str:
    """A key for calling deployments: the client's own, else a short-lived one of scope `inference` for this session."""
    own = getattr(getattr(api, "connection", None), "api_key", None)
    if own:
        return str(own)
    with _lock:
        key, ends = _keys.get(api, ("", datetime.min.replace(tzinfo=UTC)))
        if ends < datetime.now(UTC) + timedelta(minutes=1):
            ends = datetime.now(UTC) + timedelta(minutes=_KEY_MINUTES)
            key = api.api_keys.create(name="Trying a deployment", scopes=["inference"], expires_at=ends).key
            _keys[api] = key, ends
        return key


def call(url: str, key: str, body: dict[str, Any]) -> Answer:
    """Call a deployment. Raises LumlError: in the deployment's own words when it has refused."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise Unavailable(f"The deployment's address {url!r} is not one that can be called.")
    started = time.perf_counter()
    try:
        status, content = _post(url, key, body)
    except httpx.TimeoutException as error:
        raise Unavailable(f"The deployment gave no answer within {SECONDS:.0f} seconds.") from error
    except httpx.HTTPError as error:
        place = urlsplit(url).netloc
        raise Unavailable(f"Nothing answers at {place} ({error}). Is the satellite running and reachable?") from error
    taken = (time.perf_counter() - started) * 1000
    if status >= 400:
        raise _refusal(status, content)
    try:
        return Answer(msgspec.json.decode(content), taken)
    except msgspec.DecodeError as error:
        raise Unavailable(f"The deployment's answer is not JSON: {error}") from error


def _post(url: str, key: str, body: dict[str, Any]) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    content = bytearray()
    # No redirects: the key is for this address.
    with httpx.stream("POST", url, content=msgspec.json.encode(body), headers=headers, timeout=SECONDS) as answer:
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                raise Unavailable("The answer is too large to be shown; call the deployment from your own code.")
        return answer.status_code, bytes(content)


def _refusal(status: int, content: bytes) -> LumlError:
    said = _said(content)
    if status in {401, 403}:
        return Forbidden(f"The deployment does not accept the key: {said}")
    if status in {400, 422}:
        return Invalid(f"The model does not take this: {said}")
    return Unavailable(f"The deployment answered {status}: {said}")


def _said(content: bytes) -> str:
    try:
        detail = msgspec.json.decode(content).get("detail")
    except (msgspec.DecodeError, AttributeError):
        detail = None
    if isinstance(detail, list):
        return "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in detail)
    return str(detail) if detail else content[:300].decode(errors="replace") or "(nothing more)"
