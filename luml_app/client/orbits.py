"""An orbit: the workspace in which everything is found by name or id, and stored.

It wraps what the flat calls return (`.data`) and holds no connection of its own.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from luml_app.client.calls import Id
from luml_app.client.naming import named
from luml_app.client.objects import ArtifactHandle, DeploymentHandle, TrackHandle
from luml_app.client.paging import pages
from luml_app.client.runs import Runs
from luml_app.client.uploading import store
from luml_app.schemas.artifacts import ArtifactListed, ArtifactsChanged, ArtifactType, Refusal
from luml_app.schemas.collections import Collection
from luml_app.schemas.errors import Conflict, Invalid, LumlError, NotFound
from luml_app.schemas.events import Event
from luml_app.schemas.fields import SortOrder
from luml_app.schemas.organizations import OrbitListed, OrganizationListed
from luml_app.schemas.satellites import Satellite
from luml_app.schemas.tracks import Stage

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.packaging import Experiment

_LISTED, _AT_ONCE = 10, 500


class AlreadyStored(UserWarning):
    """The orbit has an artifact with the very same bytes."""


def find_orbit(client: Client, name: str | UUID | None = None) -> OrbitHandle:
    """The orbit of this name or id; without one, the only orbit there is.

    Raises NotFound, which lists what there is, and Conflict when several organizations have one of this name.
    """
    found = enterable(client)
    wanted = [one for one in found if name is None or str(name) in (one[1].name, str(one[1].id))]
    if len(wanted) == 1:
        return OrbitHandle(client, wanted[0][0].id, wanted[0][1])
    if not found:
        raise NotFound("There is no orbit that you can enter; create one, or ask to be invited.")
    if not wanted:
        raise NotFound(f"There is no orbit {str(name)!r}. You can enter: {_named(o.name for _, o in found)}.")
    if name is None:
        raise Conflict(f"Say which orbit; you can enter several: {_named(o.name for _, o in found)}.")
    places = "; ".join(f"{o.id} in {organization.name}" for organization, o in wanted)
    raise Conflict(f"Several orbits are called {str(name)!r}; name one by its id: {places}.")


def enterable(client: Client) -> list[tuple[OrganizationListed, OrbitListed]]:
    """Every orbit that one can enter, with its organization."""
    return [(place, orbit) for place in client.organizations.list() for orbit in client.orbits.list(place.id)]


class OrbitHandle(Runs):
    """A workspace: collections, artifacts, tracks, satellites, deployments. `data` is the orbit as it was read."""

    def __init__(self, client: Client, organization_id: UUID, data: OrbitListed) -> None:
        self.client = client
        self.organization_id = organization_id
        self.data = data

    def __repr__(self) -> str:
        return f"<Orbit {self.data.name!r} {self.data.id}>"

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """Organization and orbit, as the flat calls want them."""
        return self.organization_id, self.data.id

    def collection(self, name: str, type: str = "mixed") -> Collection:
        """The collection of this name (the oldest of several), created with `type` if there is none."""
        if found := self._collection(name):
            return found
        return self.client.collections.create(*self.ids, name=name, type=type)  # type: ignore[arg-type]

    def artifacts(
        self,
        search: str | None = None,
        types: list[ArtifactType] | None = None,
        *,
        filter: str | None = None,
        sort_by: str = "created_at",
        order: SortOrder = "desc",
        **options: Any,
    ) -> Iterator[ArtifactListed]:
        """All artifacts that fit, fetched page by page as you go on.

        `filter` is an expression such as ``metrics.auc > 0.9 and tags contains "prod"``, `sort_by` a field or a metric;
        `options` as of `client.artifacts.list`. Raises Invalid for a faulty filter, and shows where the fault is.
        """
        chosen: dict[str, Any] = {"search": search, "types": types, "filter": filter}
        wanted: dict[str, Any] = {"limit": 100, **options, **chosen, "sort_by": sort_by, "order": order}
        return pages(lambda cursor: self.client.artifacts.list(*self.ids, cursor=cursor, **wanted))

    def artifact(self, name: str | UUID) -> ArtifactHandle:
        """The artifact with this id, or the newest uploaded one of this name. Raises NotFound, which lists some."""
        if _is_id(name):
            known = self.client.artifacts.find(*self.ids, name)
            return ArtifactHandle.read(self, known.collection_id, known.id)
        unfinished = None
        for found in self.artifacts(search=str(name)):
            if found.name == str(name) and found.status == "uploaded":
                return ArtifactHandle.read(self, found.collection_id, found.id)
            unfinished = unfinished or (found if found.name == str(name) else None)
        if unfinished:
            raise NotFound(f"The artifact {str(name)!r} is {unfinished.status}; upload it again.")
        names = _named(one.name or str(one.id) for one in islice(self.artifacts(limit=_LISTED + 1), _LISTED + 1))
        raise NotFound(f"There is no artifact {str(name)!r} in the orbit {self.data.name!r}. There are: {names}.")

    def move(self, artifacts: Iterable[ArtifactHandle | ArtifactListed], collection: str | Collection) -> list[Refusal]:
        """Move artifacts into a collection (a name is created if missing); those that had to stay, and why."""
        target = self.collection(collection) if isinstance(collection, str) else collection
        return self._in_batches(
            artifacts,
            lambda ids: self.client.artifacts.move_many(*self.ids, artifact_ids=ids, target_collection_id=target.id),
        )

    def delete(self, artifacts: Iterable[ArtifactHandle | ArtifactListed]) -> list[Refusal]:
        """Delete artifacts and their bytes; those that had to stay, because they are deployed or in a track."""
        return self._in_batches(artifacts, lambda ids: self.client.artifacts.delete_many(*self.ids, artifact_ids=ids))

    def upload(
        self,
        path: str | Path,
        collection: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str | float | bool] | None = None,
    ) -> ArtifactHandle:
        """Store a file: a model, a dataset or an experiment. Its type follows from its content.

        `metrics` and `params` are added to those that the file holds; artifacts are filtered and sorted by them.
        `collection` is a name, created if missing; by default "models", "datasets" or "experiments".
        Warns with `AlreadyStored` when the orbit has the very same bytes already.
        Raises `PackagingError` for a file that is none of them, `TransferError` when the bytes do not arrive.
        """
        from luml_app.packaging import PackagingError, read_artifact

        path = Path(path)
        try:
            before = path.stat()
            info = read_artifact(path)
        except PackagingError as error:
            raise type(error)(f"{path}: {error.message}") from error
        self._hint(info.file_hash)
        place = self.collection(collection or f"{info.type}s", info.type if collection is None else "mixed")
        artifact_id = store(
            self.client,
            (*self.ids, place.id),
            path,
            before,
            file_name=path.name,
            manifest=info.manifest,
            file_index={member: (offset, size) for member, (offset, size) in info.file_index.items()},
            file_hash=info.file_hash,
            size=info.size,
            extra_values={**info.extra_values, **_numbers(metrics or {})},
            params={**info.params, **(params or {})},
            name=name or info.manifest.get("name") or path.stem,
            description=description,
            tags=tags,
        )
        return ArtifactHandle.read(self, place.id, artifact_id)

    def log_model(
        self,
        model: Any,
        name: str,
        *,
        sample: Any = None,
        data: Any = None,
        metrics: Mapping[str, float] | None = None,
        tags: list[str] | None = None,
        description: str | None = None,
        collection: str = "models",
        **options: Any,
    ) -> ArtifactHandle:
        """Package a model, check that a fresh interpreter predicts the same with it, and store it.

        `options` as of `luml_app.packaging.save_model`, which says what can be packaged and what may go wrong.
        """
        from luml_app.packaging import save_model

        with tempfile.TemporaryDirectory(prefix="luml-") as folder:
            path = Path(folder) / f"{_file_name(name)}.luml"
            save_model(
                model, path, sample=sample, data=data, name=name, metrics=metrics, description=description, **options
            )
            return self.upload(path, collection, name=name, description=description, tags=tags)

    def log_dataset(
        self, data: Any, name: str, *, tags: list[str] | None = None, collection: str = "datasets", **options: Any
    ) -> ArtifactHandle:
        """Store a DataFrame, or one per split, as a dataset; `options` as of `luml_app.packaging.save_dataset`."""
        from luml_app.packaging import save_dataset

        with tempfile.TemporaryDirectory(prefix="luml-") as folder:
            path = Path(folder) / f"{_file_name(name)}.tar"
            save_dataset(data, path, name=name, **options)
            return self.upload(path, collection, name=name, tags=tags)

    def log_experiment(
        self, experiment: Experiment, *, tags: list[str] | None = None, collection: str = "experiments"
    ) -> ArtifactHandle:
        """Store what an experiment has recorded."""
        with tempfile.TemporaryDirectory(prefix="luml-") as folder:
            path = Path(folder) / f"{_file_name(experiment.name)}.tar"
            experiment.save(path)
            return self.upload(path, collection, name=experiment.name, tags=tags)

    def track(
        self,
        name: str,
        artifact_type: ArtifactType = "model",
        stages: Iterable[str] = ("staging", "production"),
        protected: Iterable[str] = (),
    ) -> TrackHandle:
        """The track of this name, created with these stages, some of them protected, if there is none."""
        if found := self._track(name):
            return found
        try:
            made = self.client.tracks.create(
                *self.ids,
                name=name,
                artifact_type=artifact_type,
                stages=list(stages),
                protected_stages=list(protected),
            )
        except Conflict:  # somebody else has made it in the same moment
            if found := self._track(name):
                return found
            raise
        return TrackHandle(self, made)

    def events(self, **filters: Any) -> Iterator[Event]:
        """The events of the audit log, the latest first; `filters` as of `client.events.list_in_orbit`."""
        wanted = {"limit": 1000, **filters}
        return pages(lambda cursor: self.client.events.list_in_orbit(*self.ids, cursor=cursor, **wanted))

    def satellite(self, name: str | UUID | None = None) -> Satellite:
        """The satellite of this name or id; without one, the only one that has paired.

        Raises NotFound or Conflict, which list what there is.
        """
        found = self.client.satellites.list(*self.ids)
        wanted = [s for s in found if (s.paired if name is None else str(name) in (s.name, str(s.id), s.slug))]
        if len(wanted) == 1:
            return wanted[0]
        names = _named(str(s.name or s.id) + ("" if s.paired else " (not started yet)") for s in found)
        if wanted:
            raise Conflict(f"Several satellites fit; say which one. There are: {names}.")
        if name is None:
            raise NotFound(f"No satellite has been started in the orbit {self.data.name!r}. There are: {names}.")
        raise NotFound(f"There is no satellite {str(name)!r} in the orbit {self.data.name!r}. There are: {names}.")

    def stage_of(self, track: str | TrackHandle, stage: str) -> Stage:
        """A stage of a track, by the names of both. Raises NotFound, which lists what there is."""
        return (track if isinstance(track, TrackHandle) else self.existing_track(track)).stage(stage)

    def existing_track(self, name: str) -> TrackHandle:
        """The track of this name, or with this id. Raises NotFound, which lists what there is."""
        if found := self._track(name):
            return found
        if _is_id(name):
            return TrackHandle(self, self.client.tracks.get(*self.ids, name))
        known = islice(pages(lambda cursor: self.client.tracks.list(*self.ids, cursor=cursor)), _LISTED + 1)
        names = _named(one.name for one in known)
        raise NotFound(f"There is no track {name!r} in the orbit {self.data.name!r}. There are: {names}.")

    def deploy(
        self,
        model: str | UUID | ArtifactHandle | None = None,
        *,
        track: str | TrackHandle | None = None,
        stage: str = "",
        follow: bool = False,
        name: str | None = None,
        satellite: str | UUID | None = None,
        **facts: Any,
    ) -> DeploymentHandle:
        """Deploy a model, or the version that is in a `stage` of a `track`; `.wait()` for it to be ready.

        With `follow` the deployment rolls forward by itself whenever another version moves into the stage. `facts` are
        the `parameters`, `env`, `secrets` and `attribute_secrets` of `ArtifactHandle.deploy`.
        """
        if (model is None) == (track is None):
            raise Invalid("Name either a model, or a track and its stage.")
        if track is None:
            if follow:
                raise Invalid("follow: name the track and the stage that shall be followed.")
            wanted = model if isinstance(model, ArtifactHandle) else self.artifact(str(model))
            return wanted.deploy(name, satellite=satellite, **facts)
        found = self.stage_of(track, stage)
        entry = self.client.track_entries.by_stage(*self.ids, found.track_id, stage_id=found.id)
        artifact = self.artifact(entry.artifact_id)
        return artifact.deploy(name, satellite=satellite, following=found.id if follow else None, **facts)

    def secret_ids(self, wanted: Mapping[str, str | UUID]) -> dict[str, UUID | str]:
        """The ids of secrets that are given by name or id, under the same keys. Raises NotFound, which lists them."""
        known = self.client.secrets.list(*self.ids) if wanted else []

        def found(name: str | UUID) -> UUID:
            return named(known, str(name), "secret", lambda one: (one.name, one.id)).id

        return {key: found(name) for key, name in wanted.items()}

    def deployments(self) -> list[DeploymentHandle]:
        """All deployments, newest first."""
        return [DeploymentHandle(self, one) for one in self.client.deployments.list(*self.ids)]

    def deployment(self, name: str | UUID) -> DeploymentHandle:
        """The deployment with this id, or the newest of this name. Raises NotFound, which lists what there is."""
        found = self.deployments()
        for one in found:
            if str(name) in (one.data.name, str(one.data.id)):
                return one
        names = _named(one.data.name for one in found)
        raise NotFound(f"There is no deployment {str(name)!r} in the orbit {self.data.name!r}. There are: {names}.")

    def _collection(self, name: str) -> Collection | None:
        wanted: dict[str, Any] = {"search": name, "order": "asc", "limit": 100}
        found = pages(lambda cursor: self.client.collections.list(*self.ids, cursor=cursor, **wanted))
        return next((one for one in found if one.name == name), None)

    def _track(self, name: str) -> TrackHandle | None:
        found = pages(lambda cursor: self.client.tracks.list(*self.ids, search=name, cursor=cursor))
        return next((TrackHandle(self, one) for one in found if one.name == name), None)

    def _hint(self, sha256: str) -> None:
        """Say where these bytes are stored already. What to do about it is not decided here."""
        with suppress(LumlError):  # a hint that is not to be had is no reason to store nothing
            for one in self.client.artifacts.by_hash(*self.ids, sha256=sha256)[:1]:
                place = f"{one.name or one.file_name!r} in the collection {one.collection_name!r}"
                again = f"orbit.artifact({str(one.id)!r}) is that one."
                warnings.warn(f"The same bytes are stored already, as {place}; {again}", AlreadyStored, stacklevel=3)

    def _in_batches(
        self,
        artifacts: Iterable[ArtifactHandle | ArtifactListed],
        change: Callable[[list[Id]], ArtifactsChanged],
    ) -> list[Refusal]:
        ids, refused = iter([one.id for one in artifacts]), list[Refusal]()
        while batch := list[Id](islice(ids, _AT_ONCE)):
            refused += change(batch).refused
        return refused


def _is_id(name: str | UUID) -> bool:
    try:
        UUID(str(name))
    except ValueError:
        return False
    return True


def _file_name(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .") or "artifact"
    return kept[:100]


def _named(names: Iterable[str]) -> str:
    """Names for a message: the first few, shown so that spaces can be seen."""
    shown = [repr(name) for name in names]
    return ", ".join(shown[:_LISTED]) + (" …" if len(shown) > _LISTED else "") if shown else "none"


def _numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as plain numbers, whatever library they come from. Raises Invalid for what is none."""
    try:
        return {name: float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise Invalid(f"metrics: {error}; give a number for each name.") from error
