"""Tracks: the list of them, and the board of one with its versions and stages."""

from __future__ import annotations

from typing import Any, ClassVar

import param

from luml_app.schemas.tracks import Stage, Track, TrackEntry
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.blocks import Block
from luml_widgets.board import Board
from luml_widgets.pages import PagedStore
from luml_widgets.places import Places
from luml_widgets.snippets import quoted

EMPTY = (
    "A track is a named line of versions of one kind of artifact. Its stages, such as staging and production, point at "
    "one version each, so that everybody asks for the stage and not for a file."
)
FIRST_STEP = """\
from luml_app import Client

track = Client().orbit("{orbit}").track("churn", stages=["staging", "production"])"""


class Tracks(PagedStore):
    """Pages of tracks."""

    search = param.String(doc="A piece of name or description.")

    def ask(self, cursor: str | None, limit: int) -> Any:
        """A page of tracks."""
        return self.api.tracks.list(*self.ids, cursor=cursor, limit=limit, search=self.search or None)


class TrackList(Board[Tracks]):
    """The tracks of an orbit as a table."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("track",)

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, *, places: Places | None = None) -> None:
        super().__init__(Tracks(api, organization_id, orbit_id), places)

    def head(self) -> list[Block]:
        """The title of the list."""
        return [b.head("Tracks", note="Lines of versions, with stages that point at one version each")]

    def content(self) -> list[Block]:
        """The table, or the first step."""
        store = self.store
        if not store.rows and not store.search:
            code = FIRST_STEP.format(orbit=store.orbit_id)
            return [b.empty("No tracks yet", EMPTY, code)]
        tools = b.bar(search=store.search, placeholder="Search name, description", pager=store.pager)
        columns = [
            b.column("name", "Name", main=True),
            b.column("type", "Of"),
            b.column("stages", "Stages"),
            b.column("versions", "Versions", numeric=True),
            b.column("created", "Created"),
        ]
        rows = [self._row(one) for one in store.rows]
        return [tools, b.table("tracks", columns, rows, busy=store.loading, label="Tracks of this orbit")]

    def _row(self, one: Track) -> Block:
        href = self.places.track(one.id)
        used = [f"{stage.name}" for stage in one.stages]
        cells = [
            {"text": one.name, "href": href, "title": one.description},
            {"text": f"{one.artifact_type}s", "quiet": True},
            {"tags": used} if used else f.MISSING,
            f.number(one.total_entries),
            f.moment(one.created_at),
        ]
        return b.row(one.id, cells, href=href)

    def do_search(self, text: Any) -> None:
        """Search."""
        store = self.store
        store.show(search=str(text or "").strip())

    def do_page(self, pages: Any) -> None:
        """Turn the page."""
        store = self.store
        store.turn(int(pages))


class Versions(PagedStore):
    """A track, who is in its stages, and pages of its versions, newest first."""

    track = param.Parameter(doc="The track.")
    staged = param.Dict(default={}, doc="The entry in each stage, by stage id.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, track_id: Any, **params: Any) -> None:
        super().__init__(api, organization_id, orbit_id, **params)
        self.track_id = str(track_id)

    def ask(self, cursor: str | None, limit: int) -> Any:
        """A page of versions."""
        sort = {"sort_by": "version", "order": "desc"}
        return self.api.track_entries.list(*self.ids, self.track_id, cursor=cursor, limit=limit, **sort)

    def fetch(self) -> dict[str, Any]:
        """The track with this page of its versions."""
        track = self.api.tracks.get(*self.ids, self.track_id)
        page = super().fetch()
        here = {str(entry.stage_id): entry for entry in page["rows"] if entry.stage_id}
        for stage in track.stages:
            if stage.is_used and str(stage.id) not in here:
                here[str(stage.id)] = self.api.track_entries.by_stage(*self.ids, self.track_id, stage_id=stage.id)
        return {"track": track, "staged": here, **page}

    def move(self, entry_id: str, stage_id: str | None) -> None:
        """Put a version into a stage, in the place of the one that is there, or out of its stage."""
        self.api.track_entries.update(*self.ids, self.track_id, entry_id, stage_id=stage_id, force=True)
        self.load()


class TrackBoard(Board[Versions]):
    """One track: which version is in which stage, all versions, and a menu to promote them."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("track",)

    def __init__(
        self, api: Any, organization_id: Any, orbit_id: Any, track_id: Any, *, places: Places | None = None
    ) -> None:
        super().__init__(Versions(api, organization_id, orbit_id, track_id), places)

    @property
    def title(self) -> str:
        """The track's name."""
        store = self.store
        return store.track.name if store.track else ""

    def head(self) -> list[Block]:
        """Name and way."""
        crumbs = [b.crumb("Tracks", self.places.section("tracks"))]
        store = self.store
        track: Track | None = store.track
        if track is None:
            return [b.head(" ", crumbs=crumbs)]
        of = f.plural(track.total_entries, "version")
        note: list[Any] = [f"{track.artifact_type} track · {of}", f.identifier(track.id)]
        heads = [b.head(track.name, crumbs=crumbs, note=note)]
        return heads + ([b.prose(track.description)] if track.description else [])

    def content(self) -> list[Block]:
        """Stages, and the table of versions."""
        store = self.store
        track: Track = store.track
        if not store.rows:
            orbit = f'Client().orbit("{store.orbit_id}")'
            code = f'orbit = {orbit}\norbit.track({quoted(track.name)}).add(orbit.artifact("…"))'
            return [b.empty("No versions yet", "Add an uploaded artifact as the first version.", code)]
        stages = b.kpis([self._stage(stage, store.staged.get(str(stage.id))) for stage in track.stages])
        pager = [b.bar(pager=store.pager)] if store.pager else []
        return [*([stages] if track.stages else []), *pager, self._table(track)]

    def _stage(self, stage: Stage, entry: TrackEntry | None) -> Block:
        if entry is None:
            return b.kpi(stage.name, f.DASH, "no version")
        href = self._artifact(entry)
        return b.kpi(stage.name, f"v{entry.version}", entry.artifact_name, **({"href": href} if href else {}))

    def _artifact(self, entry: TrackEntry) -> str | None:
        known = entry.artifact_collection_id
        return self.places.artifact(entry.artifact_id, known) if known else None

    def _table(self, track: Track) -> Block:
        store = self.store
        columns = [
            b.column("version", "Version", numeric=True, width="70px"),
            b.column("artifact", "Artifact", main=True),
            *(b.column(str(stage.id), stage.name) for stage in track.stages),
            b.column("added", "Added"),
            *([b.column("move", "", numeric=True)] if track.stages else []),
        ]
        rows = [self._row(entry, track) for entry in store.rows]
        return b.table("versions", columns, rows, busy=store.loading, label=f"Versions of {track.name}")

    def _row(self, entry: TrackEntry, track: Track) -> Block:
        href = self._artifact(entry)
        name = {"text": entry.artifact_name or str(entry.artifact_id), "title": entry.artifact_description}
        cells = [
            f"v{entry.version}",
            name | ({"href": href} if href else {}),
            *({"status": stage.name, "tone": "good"} if stage.id == entry.stage_id else "" for stage in track.stages),
            f.moment(entry.created_at),
            *([self._move(entry, track)] if track.stages else []),
        ]
        return b.row(entry.id, cells, **({"href": href} if href else {}))

    def _move(self, entry: TrackEntry, track: Track) -> Block:
        store = self.store
        items = []
        for stage in track.stages:
            there = store.staged.get(str(stage.id))
            if stage.id != entry.stage_id:
                note = f"replaces v{there.version}" if there else None
                value = {"entry": str(entry.id), "stage": str(stage.id), "name": f"v{entry.version} to {stage.name}"}
                items.append(b.action(stage.name, "promote", value, note=note))
        if entry.stage_id:
            value = {"entry": str(entry.id), "stage": "", "name": f"v{entry.version} out of {entry.stage_name}"}
            items.append(b.action(f"Take out of {entry.stage_name}", "promote", value))
        return b.menu("Move to", items, name=str(entry.id), plain=True)

    def do_promote(self, value: Any) -> None:
        """Move a version."""
        store = self.store
        store.move(value["entry"], value["stage"] or None)
        self.tell(f"Moved {value['name']}.", act=b.action("Dismiss", "dismiss"))

    def do_page(self, pages: Any) -> None:
        """Turn the page."""
        store = self.store
        store.turn(int(pages))
