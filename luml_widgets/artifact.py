"""One artifact: what it is, what is in it, and how to use it."""

from __future__ import annotations

from typing import Any, ClassVar

import param

from luml_app.schemas.artifacts import ArtifactDetails
from luml_app.schemas.errors import LumlError
from luml_widgets import artifact_blocks as parts
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets import members
from luml_widgets.blocks import Block
from luml_widgets.board import Board, Store
from luml_widgets.places import Places

TABS = ("overview", "files", "use")


class ArtifactView(Store):
    """An artifact, and what of the orbit it can be joined with: satellites and tracks.

    `environment` is read from the stored file after the rest is there; `environment_error` says why it could not be.
    """

    artifact = param.Parameter(doc="The artifact with everything.")
    satellites = param.List(doc="Paired satellites of the orbit.")
    tracks = param.List(doc="Tracks of the orbit that take this type.")
    environment = param.Dict(default=None, allow_None=True, doc="env.json of a model.")
    environment_error = param.String(doc="Why the environment could not be read.")
    tab: Any = param.Selector(default="overview", objects=list(TABS))

    def __init__(
        self, api: Any, organization_id: Any, orbit_id: Any, collection_id: Any, artifact_id: Any, **params: Any
    ) -> None:
        super().__init__(api, organization_id, orbit_id, **params)
        self.collection_id, self.artifact_id = collection_id and str(collection_id), str(artifact_id)

    def fetch(self) -> dict[str, Any]:
        """The artifact and its possible companions."""
        one = self.api.artifacts.get(*self.ids, self.collection_id or self._collection(), self.artifact_id)
        tracks = self.api.tracks.list(*self.ids, types=[one.type], limit=100).items
        is_model = one.type == "model"
        satellites = self.api.satellites.list(*self.ids, paired=True) if is_model else []
        return {"artifact": one, "tracks": tracks, "satellites": satellites}

    def load(self) -> None:
        """Fetch, then read the environment out of the file."""
        super().load()
        if self.error is None and self.environment is None and self.artifact.type == "model":
            self._read_environment(self.artifact)

    def deploy(self, satellite_id: str) -> Any:
        """Serve this model on a satellite, under the model's own name; the deployment."""
        one: ArtifactDetails = self.artifact
        name = (one.name or one.file_name)[:100]
        return self.api.deployments.create(*self.ids, satellite_id=satellite_id, artifact_id=one.id, name=name)

    def add_to_track(self, track_id: str) -> Any:
        """Make this the next version of a track; the entry."""
        return self.api.track_entries.create(*self.ids, track_id, artifact_id=self.artifact.id)

    def _collection(self) -> Any:
        """The collection of an artifact of which only the id is known."""
        return self.api.artifacts.find(*self.ids, self.artifact_id).collection_id

    def _read_environment(self, one: ArtifactDetails) -> None:
        if one.status != "uploaded":
            return
        try:
            found = members.read_json(self.api, self.organization_id, one, "env.json")
        except LumlError as error:
            self.environment_error = error.message
        else:
            self.param.update(environment=found if isinstance(found, dict) else {}, environment_error="")


class ArtifactPage(Board[ArtifactView]):
    """Everything about one artifact: overview, files, and code that uses it."""

    object_prefixes: ClassVar[tuple[str, ...]] = ("artifact.", "track_entry.", "deployment.")

    def __init__(
        self,
        api: Any,
        organization_id: Any,
        orbit_id: Any,
        collection_id: Any,
        artifact_id: Any,
        *,
        places: Places | None = None,
    ) -> None:
        super().__init__(ArtifactView(api, organization_id, orbit_id, collection_id, artifact_id), places)
        self.heads = True

    @property
    def title(self) -> str:
        """The artifact's name."""
        one: ArtifactDetails | None = self.store.artifact
        return (one.name or one.file_name) if one else ""

    def head(self) -> list[Block]:
        """Name, way, and what can be done with it."""
        one: ArtifactDetails | None = self.store.artifact
        crumbs = [b.crumb("Artifacts", self.places.section("artifacts"))]
        if one is None:
            return [b.head(" ", crumbs=crumbs)]
        crumbs.append(b.crumb(one.collection.name, self.places.collection(one.collection_id)))
        note: list[Any] = [one.type, f.settled(one.status), f.size(one.size), f.moment(one.created_at)]
        note += [{"tags": one.tags}] if one.tags else []
        heads = [b.head(self.title, crumbs=crumbs, note=[*note, f.identifier(one.id)], actions=self._actions(one))]
        return heads + ([b.prose(one.description)] if one.description else [])

    def content(self) -> list[Block]:
        """The chosen tab."""
        one: ArtifactDetails = self.store.artifact
        tabs = b.tabs([b.choice(name.capitalize(), "tab", name, active=name == self.store.tab) for name in TABS])
        draw = {"overview": self._overview, "files": parts.files, "use": parts.use}[self.store.tab]
        return [tabs, *draw(one)]

    def _overview(self, one: ArtifactDetails) -> list[Block]:
        store = self.store
        left = [*parts.metrics(one), *parts.signature(one), *parts.contents(one)]
        left += parts.environment(store.environment, store.environment_error) if one.type == "model" else []
        return [b.columns(left, parts.about(one, self.places))]

    def _actions(self, one: ArtifactDetails) -> list[Block]:
        ready = one.status == "uploaded"
        why = None if ready else f"The artifact is {one.status.replace('_', ' ')}"
        tracks = [b.action(track.name, "track", str(track.id)) for track in self.store.tracks]
        none = "There is no track for this type yet"
        menus = [b.menu("Add to track", tracks, name="track", disabled=not (ready and tracks), hint=why or none)]
        if one.type == "model":
            items = [b.action(s.name or str(s.id), "deploy", str(s.id), note=s.status) for s in self.store.satellites]
            none = "No satellite of this orbit is paired yet"
            menus.append(
                b.menu("Deploy on", items, name="deploy", disabled=not (ready and items), hint=why or none, main=True)
            )
        return [menu | ({"hint": None} if not menu["disabled"] else {}) for menu in menus]

    def do_tab(self, tab: Any) -> None:
        """Show another tab."""
        if tab in TABS:
            self.store.tab = tab

    def do_deploy(self, satellite_id: Any) -> None:
        """Deploy the model."""
        made = self.store.deploy(str(satellite_id))
        see = b.link("See it", self.places.deployment(made.id))
        self.tell(f"Deployment {made.name} is on its way.", f"{made.satellite_name} takes it from here.", see)
        self.store.load()

    def do_track(self, track_id: Any) -> None:
        """Add the artifact to a track."""
        made = self.store.add_to_track(str(track_id))
        see = b.link("See the track", self.places.track(track_id))
        self.tell(f"Added as version {made.version}.", act=see)
        self.store.load()
