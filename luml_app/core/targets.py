"""Where a browser may be sent after signing in."""

from __future__ import annotations

from urllib.parse import urlsplit

HOME = "/app"


def own_page(target: str) -> str:
    """The target if it is a page of ours, else the home page: nobody is sent to another site after signing in."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return HOME
    ours = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith("//")
    return target if ours and "\\" not in target and target.isprintable() else HOME
