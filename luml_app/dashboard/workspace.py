"""The organizations and orbits that a person may enter, as the switch in the header shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """An orbit and the organization that it is in."""

    orbit_id: str
    orbit: str
    organization_id: str
    organization: str


class Workspace:
    """Asks once, and again when an orbit is wanted that it does not know."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.places: list[Place] = []
        self.email = ""

    def load(self) -> None:
        """Look up who this is and where they may go. Raises LumlError."""
        self.email = self._api.auth.me().email
        self.places = [
            Place(str(orbit.id), orbit.name, str(organization.id), organization.name)
            for organization in self._api.organizations.list()
            for orbit in self._api.orbits.list(organization.id)
        ]

    def find(self, orbit_id: str | None) -> Place | None:
        """The place of an orbit; without one, the first there is."""
        if orbit_id is None:
            return self.places[0] if self.places else None
        known = self._known(orbit_id)
        if known is None:
            self.load()
        return known or self._known(orbit_id)

    def _known(self, orbit_id: str) -> Place | None:
        return next((place for place in self.places if place.orbit_id == orbit_id), None)
