"""The page on which a deployment can be tried out in a browser. Nothing of it comes from elsewhere."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from satellite.gateway.visit import Visit

HERE = Path(__file__).parent
ASSETS = {
    "swagger-ui.css": b"text/css",
    "swagger-ui-bundle.js": b"text/javascript",
    "page.css": b"text/css",
    "page.js": b"text/javascript",
}
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


async def docs(visit: Visit) -> None:
    """`GET /deployments/{id}/docs`. It is the same for all and needs no key: it asks for one."""
    page = (HERE / "page.html").read_bytes()
    visit.exchange.respond(200, page, b"text/html; charset=utf-8", (*HEADERS, (b"cache-control", b"no-cache")))


async def asset(visit: Visit) -> None:
    """A script or style sheet of the page."""
    name = visit.exchange.path.rpartition("/")[2]
    headers = ((b"cache-control", b"public, max-age=3600"), *HEADERS)
    visit.exchange.respond(200, content(name), ASSETS[name] + b"; charset=utf-8", headers)


@cache
def content(name: str) -> bytes:
    """One file: Swagger UI's from the package that carries it, the others from here."""
    if name.startswith("swagger-ui"):
        spec = importlib.util.find_spec("swagger_ui")
        folder = Path(spec.origin).parent / "static" if spec and spec.origin else HERE
        return (folder / name).read_bytes()
    return (HERE / name).read_bytes()


def with_address(document: bytes, address: str) -> bytes:
    """A model's OpenAPI as callers of its deployment see it: the gateway's address, and an API key."""
    described: dict[str, Any] = msgspec.json.decode(document)
    components = described.setdefault("components", {})
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key: dfs_…"}}
    described |= {"servers": [{"url": address}], "security": [{"key": []}]}
    return msgspec.json.encode(described)
