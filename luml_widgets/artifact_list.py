"""The list of artifacts as a store: search, sort, page and choose, all of it done by the registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import param

from luml_app.schemas.artifacts import ArtifactListed
from luml_widgets.pages import PagedStore

FIELDS = ("name", "created_at", "size", "type", "status")
SHOWN_METRICS = 4


class ArtifactList(PagedStore):
    """Pages of artifacts."""

    search = param.String(doc="A piece of name, description or tag.")
    types = param.List(doc="model, dataset, experiment; empty for all.")
    sort_by = param.String(default="created_at", doc="A field, or the name of a metric.")
    order: Any = param.Selector(default="desc", objects=["asc", "desc"])
    metrics = param.List(doc="Names of the metrics that have been met, the most frequent first.")
    shown_metrics = param.List(default=None, allow_None=True, doc="Metric columns; None for the most frequent.")
    selection = param.List(doc="Ids of the selected artifacts, as texts; they may be on other pages.")

    def __init__(
        self, api: Any, organization_id: Any, orbit_id: Any, collection_ids: Any = None, **params: Any
    ) -> None:
        super().__init__(api, organization_id, orbit_id, **params)
        self.collection_ids = [str(one) for one in collection_ids] if collection_ids else None
        self._known: dict[str, ArtifactListed] = {}
        self._met: Counter[str] = Counter()

    @property
    def metric_columns(self) -> list[str]:
        """The metrics that are shown, in their order."""
        chosen = self.shown_metrics
        return list(self.metrics[:SHOWN_METRICS] if chosen is None else [m for m in self.metrics if m in chosen])

    @property
    def selected(self) -> list[ArtifactListed]:
        """The selected artifacts, in the order in which they were selected."""
        missing = [one for one in self.selection if one not in self._known]
        if missing:
            self._find(set(missing))
        return [self._known[one] for one in self.selection if one in self._known]

    def fetch(self) -> dict[str, Any]:
        """This page."""
        answer = super().fetch()
        self._remember(answer["rows"])
        return {**answer, "metrics": self._frequent()}

    def sort(self, key: str) -> None:
        """Sort by `key`; by the same once more turns the order round. Metrics start with the largest."""
        turned = {"asc": "desc", "desc": "asc"}[self.order]
        order = turned if key == self.sort_by else ("asc" if key in {"name", "type", "status"} else "desc")
        self.show(sort_by=key, order=order)

    def select(self, ids: Iterable[str], *, on: bool) -> None:
        """Select or unselect."""
        ids = [str(one) for one in ids]
        rest = [one for one in self.selection if one not in ids]
        self.selection = rest + ids if on else rest

    def ask(self, cursor: str | None, limit: int) -> Any:
        """A page of artifacts."""
        return self.api.artifacts.list(
            *self.ids,
            cursor=cursor,
            limit=limit,
            sort_by=self.sort_by,
            order=self.order,
            search=self.search or None,
            types=self.types or None,
            collection_ids=self.collection_ids,
        )

    def _remember(self, artifacts: Iterable[ArtifactListed]) -> None:
        for one in artifacts:
            if str(one.id) not in self._known:
                self._met.update(name for name, value in one.extra_values.items() if _is_number(value))
            self._known[str(one.id)] = one

    def _frequent(self) -> list[str]:
        return sorted(self._met, key=lambda name: (-self._met[name], name))

    def _find(self, wanted: set[str], pages: int = 20) -> None:
        """Look for artifacts that were selected from code and have not been on a page yet."""
        cursor: str | None = None
        for _ in range(pages):
            answer = self.ask(cursor, 100)
            self._remember(answer.items)
            cursor = answer.cursor
            if cursor is None or wanted <= self._known.keys():
                return


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
