"""Who calls: one function for REST, pages and websockets."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from luml_app.core.scope import Credentials
from luml_app.resources.sessions import ACCESS, REFRESH, SIGN_UP, VISIT
from luml_app.schemas.errors import Forbidden

_SAFE = {"GET", "HEAD", "OPTIONS"}


def credentials_of(request: HTTPServerRequest) -> Credentials:
    """What the request shows: the Bearer token first, else the cookie."""
    return Credentials(
        token=_bearer(request) or _cookie(request, ACCESS),
        refresh_token=_cookie(request, REFRESH),
        ip=request.remote_ip,
        user_agent=request.headers.get("User-Agent"),
        instance=request.headers.get("X-Satellite-Instance"),
        visit=_cookie(request, VISIT),
        sign_up=_cookie(request, SIGN_UP),
    )


def check_origin(request: HTTPServerRequest, *, reads: bool | None = None) -> None:
    """Refuse another site's request that changes something by the browser's cookies, or gives it new ones.

    `reads`: whether the request changes nothing; by default its method says so. Raises Forbidden.
    """
    safe = request.method in _SAFE if reads is None else reads
    if safe or _bearer(request):
        return
    if request.headers.get("Sec-Fetch-Site") in {"same-origin", "none"}:
        return
    origin = request.headers.get("Origin")
    # Programs that keep cookies, like older clients, send neither header; browsers always send one of them.
    if origin is None and "Sec-Fetch-Site" not in request.headers:
        return
    if origin is None or urlsplit(origin).netloc != request.host:
        raise Forbidden("This request comes from another site; with cookies only the platform's own pages may write.")


def comes_from_elsewhere(request: HTTPServerRequest) -> bool:
    """Whether the browser says that a page of another site has led it here."""
    return request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}


def _bearer(request: HTTPServerRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _cookie(request: HTTPServerRequest, name: str) -> str | None:
    found: Any = request.cookies.get(name)
    return found.value if found and found.value else None
