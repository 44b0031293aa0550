"""Connections: TLS, proxies and patience, the same for the server, the buckets and the endpoints."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import httpx

TIMEOUT = httpx.Timeout(60, write=300, read=300)
"""Of buckets and endpoints: a bucket may take minutes to put a large object together, a model to answer."""

_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


def options(**others: Any) -> dict[str, Any]:
    """What every `httpx.Client` and `httpx.AsyncClient` of ours is made with.

    The proxies of the environment count, but not on the way to this machine: no proxy can know what runs here.
    """
    return {"verify": _trust(), "mounts": dict.fromkeys(_LOOPBACK), "headers": {"User-Agent": "luml-python"}, **others}


def open_direct() -> httpx.Client:
    """Connections to buckets and endpoints. They carry no credentials of their own, and are safe in many threads."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
    return httpx.Client(**options(timeout=TIMEOUT, limits=limits))


def explained(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """What happened, in words: some errors of connections have none."""
    return str(error) or type(error).__name__


@cache
def _trust() -> ssl.SSLContext:
    """One TLS context for all clients: making one costs 15 ms of CPU."""
    return ssl.create_default_context()
