"""Widgets over an `api` object: the same classes in the dashboard and in a notebook.

In a notebook, ``luml_widgets.artifact_table(orbit="playground")`` and its like find things by name. The classes
behind them take any api (`Client`, or the server's own) and ids. Importing this package is light: Panel is imported
when the first widget is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luml_widgets.artifact import ArtifactPage
    from luml_widgets.artifacts import ArtifactTable
    from luml_widgets.collections import CollectionList, CollectionPage
    from luml_widgets.deployment import DeploymentCard
    from luml_widgets.deployments import DeploymentTable
    from luml_widgets.home import HomeBoard
    from luml_widgets.notebook import (
        artifact_page,
        artifact_table,
        collection_list,
        deployment_card,
        deployment_table,
        extension,
        satellite_list,
        track_board,
    )
    from luml_widgets.satellites import SatelliteList
    from luml_widgets.tracks import TrackBoard, TrackList

_CLASSES = {
    "ArtifactPage": "artifact",
    "ArtifactTable": "artifacts",
    "CollectionList": "collections",
    "CollectionPage": "collections",
    "DeploymentCard": "deployment",
    "DeploymentTable": "deployments",
    "HomeBoard": "home",
    "SatelliteList": "satellites",
    "TrackBoard": "tracks",
    "TrackList": "tracks",
}

__all__ = [
    "ArtifactPage",
    "ArtifactTable",
    "CollectionList",
    "CollectionPage",
    "DeploymentCard",
    "DeploymentTable",
    "HomeBoard",
    "SatelliteList",
    "TrackBoard",
    "TrackList",
    "artifact_page",
    "artifact_table",
    "collection_list",
    "deployment_card",
    "deployment_table",
    "extension",
    "satellite_list",
    "track_board",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_CLASSES.get(name, 'notebook')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
