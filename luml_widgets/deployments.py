"""The deployments of an orbit."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import param

from luml_app.schemas.deployments import Deployment
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.blocks import Block
from luml_widgets.board import Board, Store
from luml_widgets.places import Places

EMPTY = "A deployment is a model that a satellite serves. Open a model and choose Deploy, or do it from Python."
FIRST_STEP = """\
from luml_app import Client

model = Client().orbit("{orbit}").artifact("churn")    # by its name or id
model.deploy("churn-live").wait()"""


class Deployments(Store):
    """The deployments of an orbit, newest first."""

    deployments = param.List(doc="All of them.")
    wanted = param.String(doc="Only those in this status; empty for all.")

    def fetch(self) -> dict[str, Any]:
        """All deployments."""
        return {"deployments": self.api.deployments.list(*self.ids)}


class DeploymentTable(Board[Deployments]):
    """The deployments of an orbit as a table, with their status."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("deployment.", "satellite.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, *, places: Places | None = None) -> None:
        super().__init__(Deployments(api, organization_id, orbit_id), places)

    def head(self) -> list[Block]:
        """The title of the list."""
        return [b.head("Deployments", note="Models that are served, and where")]

    def content(self) -> list[Block]:
        """The table, or the first step."""
        store = self.store
        if not store.deployments:
            code = FIRST_STEP.format(orbit=store.orbit_id)
            return [b.empty("No deployments yet", EMPTY, code)]
        return [self._choices(store), deployments_table(self._wanted(store), self.places, busy=store.loading)]

    def _wanted(self, store: Any) -> list[Deployment]:
        return [one for one in store.deployments if store.wanted in {"", state_of(one)}]

    def _choices(self, store: Any) -> Block:
        counts = Counter(state_of(one) for one in store.deployments)
        choices = [b.choice(f"All {len(store.deployments)}", "only", "", active=not store.wanted)]
        choices += [
            b.choice(f"{status.replace('_', ' ').capitalize()} {count}", "only", status, active=store.wanted == status)
            for status, count in sorted(counts.items())
        ]
        return b.bar(choices=choices)

    def do_only(self, status: Any) -> None:
        """Show only one status."""
        self.store.param.update(wanted=str(status))


def deployments_table(deployments: list[Deployment], places: Places, *, busy: bool = False) -> Block:
    """Deployments as a table; also of use on other pages."""
    columns = [
        b.column("name", "Name", main=True),
        b.column("status", "Status"),
        b.column("model", "Model"),
        b.column("satellite", "Satellite"),
        b.column("revision", "Revision", numeric=True),
        b.column("by", "Created by"),
        b.column("created", "Created"),
    ]
    rows = [_row(one, places) for one in deployments]
    return b.table("deployments", columns, rows, busy=busy, label="Deployments")


def _row(one: Deployment, places: Places) -> Block:
    href = places.deployment(one.id)
    model = {"text": one.artifact_name, "href": places.artifact(one.artifact_id, one.collection_id), "quiet": True}
    cells = [
        {"text": one.name, "href": href, "title": one.description},
        f.status(state_of(one), reason_of(one)),
        model,
        {"text": one.satellite_name, "quiet": True},
        f.number(one.revision.number),
        one.created_by_user or f.MISSING,
        f.moment(one.created_at),
    ]
    return b.row(one.id, cells, href=href)


def state_of(one: Deployment) -> str:
    """How a deployment is, in the words that people use: "stopped" is what somebody wants, no status of its own."""
    if one.desired == "stopped" and one.status in {"pending", "not_responding", "failed"}:
        return "stopped"
    return "rolling_out" if one.status == "active" and one.rollout and not one.error_message else one.status


def reason_of(one: Deployment) -> str | None:
    """Why a deployment is not well, in a sentence; None when nothing is known."""
    return str(one.error_message.get("reason") or "") or None if one.error_message else None
