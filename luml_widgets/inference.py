"""Calling a deployment from Python, with a key that opens nothing but deployments and their logs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import httpx
import msgspec

from luml_app.client.connections import explained
from luml_app.client.wire import error_of
from luml_app.schemas.errors import Unavailable
from luml_widgets.outbound import open_http

SECONDS = 60.0
MAX_ANSWER_BYTES = 5_000_000
KEY_NAME = "Trying a deployment"
_KEY_MINUTES = 30
_keys: WeakKeyDictionary[Any, dict[str, tuple[str, datetime]]] = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What a deployment said, and how long it took, in milliseconds from first byte out to last byte in."""

    value: Any
    milliseconds: float


def key_for(api: Any, orbit_id: UUID | str) -> str:
    """A key for calling deployments: the client's own, else a short-lived one for this session, which calls models and
    reads logs of this orbit only: it is shown to the orbit's satellites, which could try it elsewhere.
    """
    own = getattr(getattr(api, "connection", None), "api_key", None)
    if own:
        return str(own)
    now = datetime.now(UTC)
    with _lock:
        kept = _keys.setdefault(api, {})
        key, ends = kept.get(str(orbit_id), ("", now))
        if ends < now + timedelta(minutes=1):
            _drop_ended(api, now)
            ends = now + timedelta(minutes=_KEY_MINUTES)
            name = f"{KEY_NAME} {uuid4().hex[:8]}"
            made = {"scopes": ["inference", "logs"], "orbit_id": orbit_id, "expires_at": ends}
            key = api.api_keys.create(name=name, **made).key
            kept[str(orbit_id)] = key, ends
        return key


def _drop_ended(api: Any, now: datetime) -> None:
    """Tidy up: keys of earlier sessions that open nothing any more."""
    for one in api.api_keys.list():
        if one.name.startswith(KEY_NAME) and one.expires_at is not None and one.expires_at < now:
            api.api_keys.delete(one.id)


def call(api: Any, url: str, key: str, body: dict[str, Any]) -> Answer:
    """Call a deployment. Raises LumlError: in the deployment's own words when it has refused."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise Unavailable(f"The deployment's address {url!r} is not one that can be called.")
    started = time.perf_counter()
    try:
        answer, content = _post(api, url, key, body)
    except httpx.TimeoutException as error:
        raise Unavailable(f"The deployment gave no answer within {SECONDS:.0f} seconds.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        place = f"{urlsplit(url).netloc} ({explained(error)})"
        raise Unavailable(f"Nothing answers at {place}. Is the satellite running and reachable?") from error
    taken = (time.perf_counter() - started) * 1000
    if not answer.is_success:
        raise error_of("compute", answer.status_code, answer.headers, content)
    try:
        return Answer(msgspec.json.decode(content), taken)
    except msgspec.DecodeError as error:
        raise Unavailable(f"The deployment's answer is not JSON: {error}") from error


def _post(api: Any, url: str, key: str, body: dict[str, Any]) -> tuple[httpx.Response, bytes]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    content = bytearray()
    # No redirects: the key is for this address.
    with (
        open_http(api, "satellite", timeout=SECONDS) as http,
        http.stream("POST", url, content=msgspec.json.encode(body), headers=headers) as answer,
    ):
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                raise Unavailable("The answer is too large to be shown; call the deployment from your own code.")
        return answer, bytes(content)
