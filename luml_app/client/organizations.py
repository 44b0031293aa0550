"""Finding an organization as a person names it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from luml_app.client.naming import listed, named
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.organizations import OrganizationListed

if TYPE_CHECKING:
    from luml_app.client.http import Client


def find_organization(client: Client, name: str | UUID | None = None) -> OrganizationListed:
    """The organization of this name or id; without one, the only one. Raises NotFound or Conflict, which list them."""
    mine = client.organizations.list()
    if name is not None:
        return named(mine, str(name), "organization", lambda one: (one.name, str(one.id)))
    if len(mine) == 1:
        return mine[0]
    if not mine:
        raise NotFound("You are in no organization; create one, or ask to be invited.")
    raise Conflict(f"Say which organization; you are in several: {listed(one.name for one in mine)}.")
