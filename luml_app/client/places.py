"""Where a permission is asked for: an orbit or an organization, by itself or by its id."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from luml_app.schemas.organizations import OrbitListed, Organization


class Place(TypedDict, total=False):
    """The query parameters that name a place."""

    organization_id: UUID | str
    orbit_id: UUID | str


def place_of(where: Any) -> Place:
    """An organization, or an orbit, its handle or its id."""
    found = getattr(where, "data", where)
    if isinstance(found, Organization):
        return {"organization_id": found.id}
    return {"orbit_id": found.id if isinstance(found, OrbitListed) else found}


def is_name(where: Any) -> bool:
    """Whether this is the name of an orbit rather than its id or something that has one."""
    if not isinstance(where, str):
        return False
    try:
        UUID(where)
    except ValueError:
        return True
    return False
