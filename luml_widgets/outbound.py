"""Connections to satellites and buckets. In the server's process the server makes them: it knows where it may go."""

from __future__ import annotations

from typing import Any, Literal

import httpx

from luml_app.client.connections import options


def open_http(api: Any, place: Literal["satellite", "bucket"], **more: Any) -> httpx.Client:
    """A client for addresses that tenants have chosen; `more` are options of httpx."""
    maker = getattr(api, "open_http", None)
    made: httpx.Client = maker(place, **more) if maker else httpx.Client(**options(**more))
    return made
