"""The addresses of the screens, for links in the dashboard and in notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Places:
    """`root` is ``/app`` inside the dashboard, and the dashboard's full address elsewhere."""

    root: str
    orbit_id: str

    @classmethod
    def of(cls, api: Any, orbit_id: Any) -> Places:
        """The places of an orbit on the server that `api` speaks to."""
        return cls(f"{api.address}/app", str(orbit_id))

    @property
    def home(self) -> str:
        """The page about everything."""
        return self.root

    def section(self, name: str) -> str:
        """A list of the orbit: collections, artifacts, tracks, deployments or satellites."""
        return f"{self.root}/o/{self.orbit_id}/{name}"

    def collection(self, collection_id: Any) -> str:
        """A collection's page."""
        return f"{self.section('collections')}/{collection_id}"

    def artifact(self, artifact_id: Any, collection_id: Any) -> str:
        """An artifact's page. The collection is said, too: an artifact is looked up by all ids of its path."""
        return f"{self.section('artifacts')}/{artifact_id}?collection={collection_id}"

    def track(self, track_id: Any) -> str:
        """A track's page."""
        return f"{self.section('tracks')}/{track_id}"

    def deployment(self, deployment_id: Any) -> str:
        """A deployment's page."""
        return f"{self.section('deployments')}/{deployment_id}"
