"""The satellites of an orbit."""

from __future__ import annotations

from typing import Any, ClassVar

import param

from luml_app.schemas.satellites import Satellite
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.blocks import Block
from luml_widgets.board import Board, Store
from luml_widgets.places import Places

EMPTY = "A satellite is a worker on one of your machines. It runs this orbit's deployments and answers their callers."
FIRST_STEP = """\
from luml_app import Client

created = Client().satellites.create("{organization}", "{orbit}", name="my-machine")
print(created.api_key)     # shown this once
# on that machine, in a shell:
#   LUML_ADDRESS={address} SATELLITE_TOKEN=dfssat_… luml satellite run"""


class Satellites(Store):
    """The satellites of an orbit, and how many deployments each one has."""

    satellites = param.List(doc="All of them.")
    deployments = param.Dict(default={}, doc="Number of deployments by satellite id.")

    def fetch(self) -> dict[str, Any]:
        """All satellites."""
        counts: dict[str, int] = {}
        for one in self.api.deployments.list(*self.ids):
            counts[str(one.satellite_id)] = counts.get(str(one.satellite_id), 0) + 1
        return {"satellites": self.api.satellites.list(*self.ids), "deployments": counts}


class SatelliteList(Board[Satellites]):
    """The satellites of an orbit as a table."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("satellite.", "deployment.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, *, places: Places | None = None) -> None:
        super().__init__(Satellites(api, organization_id, orbit_id), places)

    def head(self) -> list[Block]:
        """The title of the list."""
        return [b.head("Satellites", note="Workers on your own machines, which run the deployments of this orbit")]

    def content(self) -> list[Block]:
        """The table, or the first step."""
        store = self.store
        ids = {"organization": store.organization_id, "orbit": store.orbit_id}
        code = FIRST_STEP.format(**ids, address=store.api.address)
        if not store.satellites:
            return [b.empty("No satellites yet", EMPTY, code)]
        columns = [
            b.column("name", "Name", main=True),
            b.column("status", "Status"),
            b.column("seen", "Last seen"),
            b.column("url", "Serves at"),
            b.column("able", "Runs"),
            b.column("deployments", "Deployments", numeric=True),
            b.column("id", "Id"),
        ]
        rows = [self._row(one, store.deployments.get(str(one.id), 0)) for one in store.satellites]
        table = b.table("satellites", columns, rows, busy=store.loading, label="Satellites of this orbit")
        unpaired = any(not one.paired for one in store.satellites)
        return [table, *([b.section("Pair a satellite", [b.code(code, "Python")])] if unpaired else [])]

    def _row(self, one: Satellite, deployments: int) -> Block:
        why = None if one.paired else "Not paired yet: start it with the key that was shown when it was created"
        cells = [
            {"text": one.name or one.slug or str(one.id), "title": one.description, "sub": one.description},
            f.status(one.status if one.paired else "inactive", why) | ({} if one.paired else {"status": "not paired"}),
            f.moment(one.last_seen_at),
            {"text": one.base_url, "mono": True, "quiet": True} if one.base_url else f.MISSING,
            _abilities(one),
            f.number(deployments),
            f.identifier(one.id),
        ]
        return b.row(one.id, cells)


def _abilities(one: Satellite) -> Any:
    deploy = one.capabilities.get("deploy")
    if not deploy:
        return f.MISSING
    variants = deploy.get("supported_variants")
    return {"tags": [str(v) for v in variants]} if variants else "every model"
