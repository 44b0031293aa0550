"""The collections of an orbit, and the page of one."""

from __future__ import annotations

from typing import Any, ClassVar

import param

from luml_app.schemas.collections import Collection, CollectionDetails
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.artifacts import ArtifactTable
from luml_widgets.blocks import Block
from luml_widgets.board import Board
from luml_widgets.pages import PagedStore
from luml_widgets.places import Places

EMPTY = "A collection is a named group of artifacts of given types, such as the models of one project."
FIRST_STEP = """\
from luml_app import Client

Client().orbit("{orbit}").collection("models", type="model")    # created, if it is not there"""


class Collections(PagedStore):
    """Pages of collections."""

    search = param.String(doc="A piece of name, description or tag.")
    sort_by = param.String(default="created_at")
    order: Any = param.Selector(default="desc", objects=["asc", "desc"])

    def ask(self, cursor: str | None, limit: int) -> Any:
        """A page of collections."""
        search = self.search or None
        sort = {"sort_by": self.sort_by, "order": self.order}
        return self.api.collections.list(*self.ids, cursor=cursor, limit=limit, search=search, **sort)


class CollectionList(Board[Collections]):
    """The collections of an orbit as a table."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("collection.", "artifact.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, *, places: Places | None = None) -> None:
        super().__init__(Collections(api, organization_id, orbit_id), places)

    def head(self) -> list[Block]:
        """The title of the list."""
        return [b.head("Collections", note="Named groups of artifacts")]

    def content(self) -> list[Block]:
        """Search and table, or the first step."""
        store = self.store
        if not store.rows and not store.search:
            return [b.empty("No collections yet", EMPTY, FIRST_STEP.format(orbit=store.orbit_id))]
        tools = b.bar(search=store.search, placeholder="Search name, description, tag", pager=store.pager)
        if not store.rows:
            return [tools, b.empty("Nothing matches", "No collection has this in its name, description or tags.")]
        return [tools, self._table(store)]

    def _table(self, store: Any) -> Block:
        columns = [
            b.column("name", "Name", sort=True, main=True),
            b.column("description", "Description", width="40%"),
            b.column("type", "Holds", sort=True),
            b.column("total_artifacts", "Artifacts", sort=True, numeric=True),
            b.column("created_at", "Created", sort=True),
        ]
        rows = [self._row(one) for one in store.rows]
        sort = (store.sort_by, store.order)
        return b.table("collections", columns, rows, sort=sort, busy=store.loading, label="Collections of this orbit")

    def _row(self, one: Collection) -> Block:
        href = self.places.collection(one.id)
        cells = [
            {"text": one.name, "href": href, "sub": {"tags": one.tags} if one.tags else None},
            {"text": one.description, "quiet": True, "title": one.description, "clip": True},
            {"text": one.type.replace("_", " and "), "quiet": True},
            f.number(one.total_artifacts),
            f.moment(one.created_at),
        ]
        return b.row(one.id, cells, href=href)

    def do_search(self, text: Any) -> None:
        """Search."""
        store = self.store
        store.show(search=str(text or "").strip())

    def do_sort(self, key: Any) -> None:
        """Sort by a column; once more turns the order round."""
        store = self.store
        same = key == store.sort_by
        order = {"asc": "desc", "desc": "asc"}[store.order] if same else ("desc" if "_" in key else "asc")
        store.show(sort_by=key, order=order)

    def do_page(self, pages: Any) -> None:
        """Turn the page."""
        store = self.store
        store.turn(int(pages))


class CollectionPage(ArtifactTable):
    """One collection: what it is, and the table of its artifacts."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("collection.", "artifact.", "deployment.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, collection_id: Any, **more: Any) -> None:
        super().__init__(api, organization_id, orbit_id, [collection_id], **more)
        self._collection: CollectionDetails | None = None
        load_page = self.store.fetch

        def fetch() -> dict[str, Any]:
            self._collection = api.collections.get(*self.store.ids, collection_id)
            return load_page()

        self.store.fetch = fetch  # type: ignore[method-assign]

    @property
    def title(self) -> str:
        """The collection's name."""
        return self._collection.name if self._collection else ""

    def head(self) -> list[Block]:
        """Name, way, description."""
        crumbs = [b.crumb("Collections", self.places.section("collections"))]
        one = self._collection
        if one is None:
            return [b.head(" ", crumbs=crumbs)]
        holds = "any artifacts" if one.type == "mixed" else one.type.replace("_", "s and ") + "s"
        facts: list[Any] = [f"{f.plural(one.total_artifacts, 'artifact')} · holds {holds}"]
        facts += [{"tags": one.tags}] if one.tags else []
        facts += [f.identifier(one.id)]
        return [b.head(one.name, crumbs=crumbs, note=facts), *([b.prose(one.description)] if one.description else [])]
