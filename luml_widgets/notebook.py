"""Widgets for notebooks, found by name: ``artifact_table(orbit="playground")``.

Every function takes a `client` (by default one with the settings that `luml up` or `luml login` have written) and an
`orbit` (a name or id; by default the only one), makes Panel ready in the notebook, and returns the widget. Put it at
the end of a cell to see it.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from luml_app.client.connections import options
from luml_app.client.http import Client
from luml_app.schemas.errors import NotFound
from luml_widgets.settings import serve_javascript_from

if TYPE_CHECKING:
    from luml_widgets.artifact import ArtifactPage
    from luml_widgets.artifacts import ArtifactTable
    from luml_widgets.collections import CollectionList
    from luml_widgets.deployment import DeploymentCard
    from luml_widgets.deployments import DeploymentTable
    from luml_widgets.satellites import SatelliteList
    from luml_widgets.tracks import TrackBoard

Name = str | UUID


def extension(client: Client | None = None) -> None:
    """Make Panel ready in this notebook; once is enough, and the functions of this module do it by themselves.

    Bokeh's and Panel's JavaScript is written into the notebook (about 5 MB), what they load later comes from the LUML
    server, and nothing from a CDN.
    """
    _use_server(client or Client())
    import panel as pn

    pn.extension(inline=True)


def artifact_table(
    client: Client | None = None,
    orbit: Name | None = None,
    *,
    collection: str | None = None,
    types: list[str] | None = None,
    **more: Any,
) -> ArtifactTable:
    """The table of an orbit's artifacts, or of one collection's; `.selected` is what is ticked. Raises NotFound."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.artifacts import ArtifactTable

    collections = [_collection(client, ids, collection)] if collection else None
    return ArtifactTable(client, *ids, collections, types, **more)


def artifact_page(artifact: Name, client: Client | None = None, orbit: Name | None = None) -> ArtifactPage:
    """The page of an artifact, by name or id. Raises NotFound."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.artifact import ArtifactPage

    found = client.orbit(ids[1]).artifact(artifact).data
    return ArtifactPage(client, *ids, found.collection_id, found.id)


def deployment_card(deployment: Name, client: Client | None = None, orbit: Name | None = None) -> DeploymentCard:
    """The card of a deployment, by name or id, with its live status and a form to try it. Raises NotFound."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.deployment import DeploymentCard

    return DeploymentCard(client, *ids, client.orbit(ids[1]).deployment(deployment).data.id)


def deployment_table(client: Client | None = None, orbit: Name | None = None) -> DeploymentTable:
    """The table of an orbit's deployments."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.deployments import DeploymentTable

    return DeploymentTable(client, *ids)


def track_board(track: Name, client: Client | None = None, orbit: Name | None = None) -> TrackBoard:
    """The board of a track, by name or id. Raises NotFound."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.tracks import TrackBoard

    found = client.tracks.list(*ids, limit=100).items
    return TrackBoard(client, *ids, _one(found, track, "track"))


def satellite_list(client: Client | None = None, orbit: Name | None = None) -> SatelliteList:
    """The satellites of an orbit."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.satellites import SatelliteList

    return SatelliteList(client, *ids)


def collection_list(client: Client | None = None, orbit: Name | None = None) -> CollectionList:
    """The collections of an orbit."""
    client, ids = _orbit(client, orbit)
    from luml_widgets.collections import CollectionList

    return CollectionList(client, *ids)


def _orbit(client: Client | None, orbit: Name | None) -> tuple[Client, tuple[UUID, UUID]]:
    client = client or Client()
    _ready(client.address)
    return client, client.orbit(orbit).ids


@cache
def _ready(address: str) -> None:
    extension(Client(address))


def _use_server(client: Client) -> None:
    """Where the server answers, let it give what Panel would fetch from a CDN."""
    root = f"{client.address}/cdn/panel/"
    with suppress(httpx.HTTPError), httpx.Client(**options(timeout=3.0)) as http:
        if http.head(f"{root}{version('panel')}/dist/panel.min.js").status_code == 200:
            serve_javascript_from(root)


def _collection(client: Client, ids: tuple[UUID, UUID], name: str) -> UUID:
    return _one(client.collections.list(*ids, search=name, limit=100).items, name, "collection")


def _one(found: list[Any], wanted: Name, kind: str) -> UUID:
    for one in found:
        if str(wanted) in {one.name, str(one.id)}:
            return UUID(str(one.id))
    names = ", ".join(repr(one.name) for one in found[:10]) or "none"
    raise NotFound(f"There is no {kind} {str(wanted)!r} in this orbit. There are: {names}.")
