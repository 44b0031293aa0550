"""Which widget shows what an address asks for."""

from __future__ import annotations

from typing import Any

from luml_app.dashboard.addresses import ROOT, Address
from luml_app.dashboard.workspace import Place
from luml_widgets import blocks as b
from luml_widgets.artifact import ArtifactPage
from luml_widgets.artifacts import ArtifactTable
from luml_widgets.blocks import Block
from luml_widgets.board import Board
from luml_widgets.collections import CollectionList, CollectionPage
from luml_widgets.deployment import DeploymentCard
from luml_widgets.deployments import DeploymentTable
from luml_widgets.home import HomeBoard
from luml_widgets.places import Places
from luml_widgets.satellites import SatelliteList
from luml_widgets.tracks import TrackBoard, TrackList

_LISTS: dict[str, Any] = {
    "home": HomeBoard,
    "collections": CollectionList,
    "artifacts": ArtifactTable,
    "tracks": TrackList,
    "deployments": DeploymentTable,
    "satellites": SatelliteList,
}
_OBJECTS: dict[str, Any] = {"collections": CollectionPage, "tracks": TrackBoard, "deployments": DeploymentCard}


def board_of(api: Any, place: Place, address: Address) -> Board[Any] | None:
    """The widget for an address inside an orbit; None for one that nothing is at."""
    ids = (api, place.organization_id, place.orbit_id)
    places = Places(ROOT, place.orbit_id)
    if address.section == "artifacts" and address.object_id:
        return ArtifactPage(*ids, address.query.get("collection"), address.object_id, places=places)
    if address.object_id:
        return (
            _OBJECTS[address.section](*ids, address.object_id, places=places) if address.section in _OBJECTS else None
        )
    return _LISTS[address.section](*ids, places=places) if address.section in _LISTS else None


def heading_of(address: Address) -> str:
    """What the browser's tab says before the object's name is known."""
    return "Not found" if address.section == "unknown" else address.section.capitalize()


def without_board(place: Place | None, address: Address) -> list[Block]:
    """What to show when there is no such screen, or no orbit to show it of."""
    home = [b.link("Go to Home", ROOT, tone="primary")]
    if address.section == "unknown":
        text = "Nothing is at this address. It may have been cut off when it was copied."
        return [b.head("Not found", actions=home), b.prose(text)]
    if place is None and address.orbit_id:
        text = "There is no such orbit, or you are not a member of it. Ask its administrator to let you in."
        return [b.head("Not found", actions=home), b.prose(text)]
    code = 'client.orbits.create(organization_id, name="playground", bucket_secret_id=bucket_id)'
    return [
        b.head("Welcome"),
        b.empty("No orbit yet", "An orbit is a workspace with a bucket. Create the first.", code),
    ]
