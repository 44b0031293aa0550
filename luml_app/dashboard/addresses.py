"""Addresses inside the dashboard: from the text in the browser's address line to what is to be shown, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

ROOT = "/app"
SECTIONS = ("collections", "artifacts", "tracks", "deployments", "satellites")
_WITH_OBJECTS = {"collections", "artifacts", "tracks", "deployments"}


@dataclass(frozen=True)
class Address:
    """`section` is ``home``, one of `SECTIONS`, or ``unknown``; with `object_id` it means one object of it."""

    section: str
    orbit_id: str | None = None
    object_id: str | None = None
    query: dict[str, str] = field(default_factory=dict)


HOME = Address("home")
UNKNOWN = Address("unknown")


def read(url: str) -> Address:
    """What an address means; never fails.

    >>> read("/app/o/018f0000-0000-7000-8000-000000000001/tracks").section
    'tracks'
    >>> read("/app/nonsense").section
    'unknown'
    """
    parts = urlsplit(url)
    steps = [unquote(step) for step in parts.path.removeprefix(ROOT).split("/") if step]
    query = dict(parse_qsl(parts.query))
    if not steps:
        return HOME
    if len(steps) == 2 and steps[0] == "o" and is_id(steps[1]):
        return Address("collections", steps[1], query=query)
    if not 3 <= len(steps) <= 4 or steps[0] != "o" or not is_id(steps[1]) or steps[2] not in SECTIONS:
        return UNKNOWN
    if len(steps) == 4 and (steps[2] not in _WITH_OBJECTS or not is_id(steps[3])):
        return UNKNOWN
    return Address(steps[2], steps[1], steps[3] if len(steps) == 4 else None, query)


def is_id(text: str) -> bool:
    """Whether this is written like an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return len(text) == 36
