"""An orbit at a glance: what needs attention, and what is new."""

from __future__ import annotations

from typing import Any, ClassVar

import param

from luml_app.schemas.artifacts import ArtifactListed
from luml_app.schemas.deployments import Deployment
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.artifacts import EMPTY_TEXT, FIRST_STEP
from luml_widgets.blocks import Block
from luml_widgets.board import Board, Store
from luml_widgets.deployments import reason_of
from luml_widgets.places import Places

RECENT = 8
_ILL = {"failed": "has failed", "not_responding": "does not respond", "deletion_failed": "could not be taken down"}


class Overview(Store):
    """What the home page shows of an orbit."""

    orbit = param.Parameter(doc="The orbit with its totals.")
    artifacts = param.List(doc="The newest artifacts.")
    deployments = param.List(doc="All deployments.")
    satellites = param.List(doc="All satellites.")
    tracks = param.List(doc="The newest tracks.")

    def fetch(self) -> dict[str, Any]:
        """Everything, a handful of reads."""
        return {
            "orbit": self.api.orbits.get(*self.ids),
            "artifacts": self.api.artifacts.list(*self.ids, limit=RECENT).items,
            "deployments": self.api.deployments.list(*self.ids),
            "satellites": self.api.satellites.list(*self.ids),
            "tracks": self.api.tracks.list(*self.ids, limit=RECENT).items,
        }


class HomeBoard(Board[Overview]):
    """An orbit at a glance; for a new person the first steps."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("artifact.", "deployment.", "satellite.", "track", "collection.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, *, places: Places | None = None) -> None:
        super().__init__(Overview(api, organization_id, orbit_id), places)

    def head(self) -> list[Block]:
        """The orbit's name."""
        orbit = self.store.orbit
        return [b.head(orbit.name if orbit else "Home")]

    def content(self) -> list[Block]:
        """Attention, figures, recent things; or the first steps."""
        if not self.store.artifacts and not self.store.deployments:
            return [b.empty("Nothing here yet", EMPTY_TEXT, FIRST_STEP), self._figures()]
        return [*self._attention(), self._figures(), b.columns(self._recent(), self._beside())]

    def _attention(self) -> list[Block]:
        ill = [one for one in self.store.deployments if one.status in _ILL]
        blocks = [self._ill(one) for one in ill[:3]]
        if len(ill) > 3:
            more = b.link("See all", self.places.section("deployments"))
            blocks.append(b.notice(f"{len(ill) - 3} more deployments need attention.", "", act=more))
        lost = [one.name or str(one.id) for one in self.store.satellites if one.paired and one.status == "error"]
        if lost:
            text = "It has not been heard of for a while. Is its machine running?"
            see = b.link("See it", self.places.section("satellites"))
            blocks.append(b.notice(f"Satellite {lost[0]} is silent.", text, tone="warn", act=see))
        return blocks

    def _ill(self, one: Deployment) -> Block:
        tone = "warn" if one.status == "not_responding" else "bad"
        see = b.link("See it", self.places.deployment(one.id))
        return b.notice(f"{one.name} {_ILL[one.status]}.", reason_of(one) or "", tone=tone, act=see)

    def _figures(self) -> Block:
        store, places = self.store, self.places
        active = sum(one.status == "active" for one in store.deployments)
        awake = sum(one.status == "active" for one in store.satellites)
        total = store.orbit.total_artifacts
        return b.kpis(
            [
                b.kpi("Artifacts", _count(total), href=places.section("artifacts")),
                b.kpi("Collections", _count(store.orbit.total_collections), href=places.section("collections")),
                b.kpi(
                    "Deployments",
                    f"{len(store.deployments):,}",
                    f"{active} active",
                    href=places.section("deployments"),
                ),
                b.kpi("Satellites", f"{len(store.satellites):,}", f"{awake} awake", href=places.section("satellites")),
            ]
        )

    def _recent(self) -> list[Block]:
        columns = [
            b.column("name", "Name", main=True),
            b.column("type", "Type"),
            b.column("collection", "Collection"),
            b.column("created", "Created"),
        ]
        rows = [self._artifact(one) for one in self.store.artifacts]
        return [b.section("Recent artifacts", [b.table("recent", columns, rows, label="Recent artifacts")])]

    def _artifact(self, one: ArtifactListed) -> Block:
        href = self.places.artifact(one.id, one.collection_id)
        cells = [
            {"text": one.name or one.file_name, "href": href},
            {"text": one.type, "quiet": True},
            {"text": one.collection_name, "href": self.places.collection(one.collection_id), "quiet": True},
            f.moment(one.created_at),
        ]
        return b.row(one.id, cells, href=href)

    def _beside(self) -> list[Block]:
        blocks = []
        live = [
            ({"text": one.name, "href": self.places.deployment(one.id)}, f.status(one.status))
            for one in self.store.deployments[:RECENT]
        ]
        if live:
            rows = [b.row(i, list(cells)) for i, cells in enumerate(live)]
            blocks.append(b.section("Deployments", [_list(rows, "Deployments")]))
        if self.store.tracks:
            rows = [
                b.row(one.id, [{"text": one.name, "href": self.places.track(one.id)}, f"{one.total_entries:,}"])
                for one in self.store.tracks
            ]
            blocks.append(b.section("Tracks", [_list(rows, "Tracks", "Versions")]))
        return blocks


def _list(rows: list[Block], label: str, second: str = "Status") -> Block:
    columns = [b.column("name", "Name", main=True), b.column("second", second, numeric=second != "Status")]
    return b.table(label.lower(), columns, rows, label=label)


def _count(value: int | None) -> str:
    return f.DASH if value is None else f"{value:,}"
