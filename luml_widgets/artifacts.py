"""The table of artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import param

from luml_app.schemas.artifacts import ArtifactListed
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.artifact_list import ArtifactList
from luml_widgets.blocks import Block
from luml_widgets.board import Board
from luml_widgets.places import Places

if TYPE_CHECKING:
    import pandas as pd

_KINDS: tuple[tuple[str, list[str]], ...] = (
    ("All", []),
    ("Models", ["model"]),
    ("Datasets", ["dataset"]),
    ("Experiments", ["experiment"]),
)
FIRST_STEP = """\
from luml_app import Client

orbit = Client().orbit()
orbit.log_model(model, "churn", sample=X_train.head(), metrics={"accuracy": 0.93})"""


class ArtifactTable(Board[ArtifactList]):
    """The artifacts of an orbit, or of some of its collections, as a table that is searched, sorted and paged in SQL.

    What is ticked is `.selection` (ids), `.selected` (artifacts) and `.selected_frame` (a DataFrame); setting
    `.selection` from code ticks the rows. `on_open(artifact)` is called for a row that is opened; without it the
    row leads to the artifact's page.

    >>> table = ArtifactTable(client, organization_id, orbit_id)    # doctest: +SKIP
    >>> table.selected_frame                                        # doctest: +SKIP
    """

    selection = param.List(doc="Ids of the selected artifacts; may be set.")
    object_prefixes: ClassVar[tuple[str, ...]] = ("artifact.", "deployment.")

    def __init__(
        self,
        api: Any,
        organization_id: Any,
        orbit_id: Any,
        collection_ids: Any = None,
        types: Any = None,
        *,
        on_open: Callable[[ArtifactListed], None] | None = None,
        places: Places | None = None,
        **params: Any,
    ) -> None:
        store = ArtifactList(api, organization_id, orbit_id, collection_ids, types=list(types or []))
        self._fixed_types, self._on_open = bool(types), on_open
        super().__init__(store, places, **params)
        store.selection = [str(one) for one in self.selection]
        store.param.watch(lambda event: self.param.update(selection=list(event.new)), "selection")
        self.param.watch(lambda event: store.param.update(selection=[str(i) for i in event.new]), "selection")

    @property
    def selected(self) -> list[ArtifactListed]:
        """The selected artifacts."""
        return self.store.selected

    @property
    def selected_frame(self) -> pd.DataFrame:
        """The selected artifacts as a DataFrame: one row each, a column for every metric. Needs pandas."""
        import pandas as pd

        fields = ("id", "name", "type", "status", "collection_name", "size", "created_at", "file_hash", "tags")
        rows = [{name: getattr(one, name) for name in fields} | dict(one.extra_values) for one in self.selected]
        return pd.DataFrame(rows, columns=None if rows else list(fields))

    def head(self) -> list[Block]:
        """The title of the list."""
        return [b.head("Artifacts", note="Models, datasets and experiments of this orbit")]

    def content(self) -> list[Block]:
        """Tools and table, or what to do when there is nothing."""
        store = self.store
        if not store.rows and not store.search and (self._fixed_types or not store.types) and store.page == 0:
            return [b.empty("No artifacts here yet", EMPTY_TEXT, FIRST_STEP)]
        if not store.rows:
            return [self._tools(), b.empty("Nothing matches", "No artifact has this in its name, description or tags.")]
        return [self._tools(), self._table()]

    def _tools(self) -> Block:
        store = self.store
        return b.bar(
            search=store.search,
            placeholder="Search name, description, tag",
            choices=[]
            if self._fixed_types
            else [b.choice(label, "types", kinds, active=store.types == kinds) for label, kinds in _KINDS],
            menus=[self._chooser()] if store.metrics else [],
            note=f"{len(store.selection)} selected" if store.selection else None,
            actions=[b.action("Clear", "clear")] if store.selection else [],
            pager=store.pager,
        )

    def _chooser(self) -> Block:
        shown = self.store.metric_columns
        items = [b.action(name, "metric", name, checked=name in shown) for name in self.store.metrics[:40]]
        return b.menu("Metrics", items, name="metrics", hint="Choose metric columns")

    def _table(self) -> Block:
        store, metrics = self.store, self.store.metric_columns
        columns = [
            b.column("name", "Name", sort=True, main=True),
            b.column("type", "Type", sort=True),
            *([] if store.collection_ids and len(store.collection_ids) == 1 else [b.column("c", "Collection")]),
            *(b.column(name, name, sort=True, numeric=True) for name in metrics),
            b.column("size", "Size", sort=True, numeric=True),
            b.column("status", "Status", sort=True),
            b.column("created_at", "Created", sort=True),
        ]
        figures = [Figures(name, store.rows) for name in metrics]
        rows = [self._row(one, figures) for one in store.rows]
        sort = (store.sort_by, store.order)
        return b.table(
            "artifacts", columns, rows, sort=sort, select=True, busy=store.loading, label="Artifacts of this orbit"
        )

    def _row(self, one: ArtifactListed, figures: list[Figures]) -> Block:
        name = one.name or one.file_name
        place = {} if self._on_open else {"href": self.places.artifact(one.id, one.collection_id)}
        collection = {"text": one.collection_name, "href": self.places.collection(one.collection_id), "quiet": True}
        single = self.store.collection_ids and len(self.store.collection_ids) == 1
        cells = [
            {"text": name, "title": one.description or name, **place},
            {"text": one.type, "quiet": True},
            *([] if single else [collection]),
            *(figure.cell(one.extra_values) for figure in figures),
            f.size(one.size),
            self._status(one),
            f.moment(one.created_at),
        ]
        opens = {"act": "open"} if self._on_open else place
        return b.row(one.id, cells, label=name, selected=str(one.id) in self.store.selection, **opens)

    def _status(self, one: ArtifactListed) -> Any:
        if one.status == "uploaded" and one.deployments:
            first = one.deployments[0]
            return f.status(first.status, f"Deployed as {first.name}")
        return f.settled(one.status)

    def do_search(self, text: Any) -> None:
        """Search."""
        self.store.show(search=str(text or "").strip())

    def do_types(self, types: Any) -> None:
        """Show only some types."""
        self.store.show(types=list(types or []))

    def do_sort(self, key: Any) -> None:
        """Sort by a column."""
        self.store.sort(str(key))

    def do_page(self, pages: Any) -> None:
        """Turn the page."""
        self.store.turn(int(pages))

    def do_select(self, value: Any) -> None:
        """Tick or untick rows."""
        self.store.select(value["ids"], on=bool(value["on"]))

    def do_clear(self, _value: Any) -> None:
        """Untick all."""
        self.store.selection = []

    def do_metric(self, name: Any) -> None:
        """Show or hide a metric column."""
        shown = self.store.metric_columns
        self.store.shown_metrics = [one for one in shown if one != name] if name in shown else [*shown, name]

    def do_open(self, artifact_id: Any) -> None:
        """Open a row."""
        found = next((one for one in self.store.rows if str(one.id) == artifact_id), None)
        if found is not None and self._on_open is not None:
            self._on_open(found)


EMPTY_TEXT = (
    "An artifact is one stored file: a model, a dataset or an experiment, with its metrics, its environment and its "
    "digest. Save a model from Python and push it; it appears here by itself."
)


class Figures:
    """One metric on a page: its decimals, and the span in which its values lie."""

    def __init__(self, name: str, artifacts: Iterable[ArtifactListed]) -> None:
        self._name = name
        values: list[Any] = [value for one in artifacts if f.is_finite(value := one.extra_values.get(name))]
        self._decimals = f.decimals_for(values)
        self._low: float = min(values, default=0.0)
        self._high: float = max(values, default=0.0)

    def cell(self, values: dict[str, Any]) -> Any:
        """The value of one artifact, and where it lies between the smallest and the largest of the page."""
        if self._name not in values:
            return f.MISSING
        value = values[self._name]
        cell = f.aligned(value, self._decimals)
        if f.is_finite(value) and self._high > self._low:
            cell["share"] = (value - self._low) / (self._high - self._low)
        return cell
