"""Objects that know what can be done with them: an orbit, its artifacts, tracks and deployments.

They wrap what the flat calls return (`.data`) and hold no connection of their own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from luml_app.client.inference import compute, predictions, request_of_sample
from luml_app.client.progress import bytes_bar, waiting
from luml_app.client.transfers import download, upload
from luml_app.schemas.artifacts import Artifact, ArtifactListed, ArtifactType
from luml_app.schemas.collections import Collection
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import Conflict, LumlError, NotFound
from luml_app.schemas.fields import Page
from luml_app.schemas.organizations import OrbitListed
from luml_app.schemas.satellites import Satellite
from luml_app.schemas.tracks import Stage, Track, TrackEntry

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.packaging import ArtifactInfo, Experiment


class DeploymentFailed(LumlError):  # noqa: N818
    """The deployment failed."""

    code = "deployment_failed"


def find_orbit(client: Client, name: str | UUID | None = None) -> OrbitHandle:
    """The orbit of this name or id; without one, the only orbit there is.

    Raises NotFound, which lists what there is, and Conflict when several organizations have one of this name.
    """
    found = [
        (organization.id, orbit)
        for organization in client.organizations.list()
        for orbit in client.orbits.list(organization.id)
    ]
    wanted = [one for one in found if name is None or str(name) in (one[1].name, str(one[1].id))]
    if len(wanted) == 1:
        return OrbitHandle(client, *wanted[0])
    names = ", ".join(sorted(orbit.name for _, orbit in found)) or "none"
    if not wanted:
        raise NotFound(f"There is no orbit {str(name)!r}. You can enter: {names}.")
    raise Conflict(f"Several orbits fit; name one by its id. You can enter: {names}.")


class OrbitHandle:
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
        """The collection of this name, created with `type` if there is none."""
        for found in pages(lambda cursor: self.client.collections.list(*self.ids, search=name, cursor=cursor)):
            if found.name == name:
                return found  # type: ignore[no-any-return]  # pages are of what `fetch` gives
        return self.client.collections.create(*self.ids, name=name, type=type)  # type: ignore[arg-type]

    def artifacts(
        self, search: str | None = None, types: list[ArtifactType] | None = None, **options: Any
    ) -> Iterator[ArtifactListed]:
        """All artifacts that fit, page by page; `options` as of `client.artifacts.list`."""
        return pages(
            lambda cursor: self.client.artifacts.list(*self.ids, search=search, types=types, cursor=cursor, **options)
        )

    def artifact(self, name: str | UUID) -> ArtifactHandle:
        """The artifact with this id, or the newest uploaded one of this name. Raises NotFound."""
        for found in self.artifacts() if _is_id(name) else self.artifacts(search=str(name)):
            if str(name) == str(found.id) or (found.name == str(name) and found.status == "uploaded"):
                return self._artifact(found.collection_id, found.id)
        raise NotFound(f"There is no artifact {str(name)!r} in the orbit {self.data.name!r}.")

    def upload(
        self,
        path: str | Path,
        collection: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> ArtifactHandle:
        """Store a file: a model, a dataset or an experiment. Its type follows from its content.

        `collection` is a name, created if missing; by default "models", "datasets" or "experiments".
        Raises `PackagingError` for a file that is none of them, `TransferError` when the bytes do not arrive.
        """
        from luml_app.packaging import read_artifact

        path = Path(path)
        info = read_artifact(path)
        place = self.collection(collection or f"{info.type}s", info.type if collection is None else "mixed")
        created = self.client.artifacts.create(
            *self.ids,
            place.id,
            file_name=path.name,
            manifest=info.manifest,
            file_index={member: (offset, size) for member, (offset, size) in info.file_index.items()},
            file_hash=info.file_hash,
            size=info.size,
            extra_values={**info.extra_values, **(metrics or {})},
            name=name or info.manifest.get("name") or path.stem,
            description=description,
            tags=tags,
        )
        self._send(created, path, info)
        return self._artifact(place.id, created.artifact.id)

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
        self, name: str, artifact_type: ArtifactType = "model", stages: Iterable[str] = ("staging", "production")
    ) -> TrackHandle:
        """The track of this name, created with these stages if there is none."""
        for found in pages(lambda cursor: self.client.tracks.list(*self.ids, search=name, cursor=cursor)):
            if found.name == name:
                return TrackHandle(self, found)
        made = self.client.tracks.create(*self.ids, name=name, artifact_type=artifact_type, stages=list(stages))
        return TrackHandle(self, made)

    def satellite(self, name: str | UUID | None = None) -> Satellite:
        """The satellite of this name or id; without one, the only one that has paired. Raises NotFound."""
        found = self.client.satellites.list(*self.ids)
        wanted = [s for s in found if (s.paired if name is None else str(name) in (s.name, str(s.id), s.slug))]
        if len(wanted) == 1:
            return wanted[0]
        names = ", ".join(str(s.name or s.id) for s in found) or "none"
        raise NotFound(f"{'No' if not wanted else 'More than one'} satellite fits {name or ''!r}. There are: {names}.")

    def deployments(self) -> list[DeploymentHandle]:
        """All deployments, newest first."""
        return [DeploymentHandle(self, one) for one in self.client.deployments.list(*self.ids)]

    def deployment(self, name: str | UUID) -> DeploymentHandle:
        """The deployment with this id, or the newest of this name. Raises NotFound, which lists what there is."""
        found = self.deployments()
        for one in found:
            if str(name) in (one.data.name, str(one.data.id)):
                return one
        names = ", ".join(one.data.name for one in found) or "none"
        raise NotFound(f"There is no deployment {str(name)!r}. There are: {names}.")

    def _artifact(self, collection_id: UUID, artifact_id: UUID) -> ArtifactHandle:
        return ArtifactHandle(self, self.client.artifacts.get(*self.ids, collection_id, artifact_id))

    def _send(self, created: Any, path: Path, info: ArtifactInfo) -> None:
        ids = (*self.ids, created.artifact.collection_id, created.artifact.id)
        try:
            with bytes_bar(f"Uploading {created.artifact.name}", info.size) as progress:
                upload(self.client, created, path, progress)
        except BaseException:
            self.client.artifacts.update(*ids, status="upload_failed")
            raise
        self.client.artifacts.update(*ids, status="uploaded")


class ArtifactHandle:
    """A stored model, dataset or experiment. `data` is the artifact as it was read."""

    def __init__(self, orbit: OrbitHandle, data: Artifact) -> None:
        self.orbit = orbit
        self.data = data

    def __repr__(self) -> str:
        return f"<{self.data.type.capitalize()} {self.data.name!r} {self.data.id}>"

    @property
    def id(self) -> UUID:
        """The artifact's id."""
        return self.data.id

    @property
    def ids(self) -> tuple[UUID, UUID, UUID, UUID]:
        """Organization, orbit, collection and artifact, as the flat calls want them."""
        return (*self.orbit.ids, self.data.collection_id, self.data.id)

    def download(self, path: str | Path | None = None) -> Path:
        """Fetch the file to `path` (a file or a folder; by default the current folder); its sha256 is checked."""
        target = Path(path) if path is not None else Path()
        target = target / self.data.file_name if target.is_dir() else target
        url = self.orbit.client.artifacts.download_url(*self.ids).url
        with bytes_bar(f"Downloading {self.data.name}", self.data.size) as progress:
            return download(url, target, self.data.file_hash, progress)

    def deploy(
        self,
        name: str | None = None,
        *,
        satellite: str | UUID | None = None,
        parameters: Mapping[str, bool | int | str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> DeploymentHandle:
        """Deploy this model on a satellite (by default the only one); `.wait()` for it to be ready."""
        made = self.orbit.client.deployments.create(
            *self.orbit.ids,
            satellite_id=self.orbit.satellite(satellite).id,
            artifact_id=self.data.id,
            name=name or self.data.name or self.data.file_name,
            satellite_parameters=dict(parameters or {}),
            env_variables=dict(env or {}),
        )
        return DeploymentHandle(self.orbit, made)

    def delete(self) -> None:
        """Delete the artifact and its bytes."""
        self.orbit.client.artifacts.delete(*self.ids)


class TrackHandle:
    """A named line of versions. `data` is the track as it was read."""

    def __init__(self, orbit: OrbitHandle, data: Track) -> None:
        self.orbit = orbit
        self.data = data

    def __repr__(self) -> str:
        return f"<Track {self.data.name!r} {self.data.id}>"

    @property
    def ids(self) -> tuple[UUID, UUID, UUID]:
        """Organization, orbit and track, as the flat calls want them."""
        return (*self.orbit.ids, self.data.id)

    def stage(self, name: str) -> Stage:
        """The stage of this name. Raises NotFound, which lists what there is."""
        for stage in self.data.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.data.stages) or "none"
        raise NotFound(f"The track {self.data.name!r} has no stage {name!r}. It has: {names}.")

    def entries(self) -> Iterator[TrackEntry]:
        """All versions, newest first."""
        return pages(lambda cursor: self.orbit.client.track_entries.list(*self.ids, sort_by="version", cursor=cursor))

    def add(self, artifact: ArtifactHandle) -> TrackEntry:
        """The artifact's version in this track; a new one if it has none yet."""
        known = next((entry for entry in self.entries() if entry.artifact_id == artifact.id), None)
        return known or self.orbit.client.track_entries.create(*self.ids, artifact_id=artifact.id)

    def promote(self, artifact: ArtifactHandle, stage: str) -> TrackEntry:
        """Make the artifact's version the one in `stage`, whoever is there now."""
        entry, target = self.add(artifact), self.stage(stage)
        if entry.stage_id == target.id:
            return entry
        return self.orbit.client.track_entries.update(*self.ids, entry.id, stage_id=target.id, force=True)


class DeploymentHandle:
    """A model that is served. `data` is the deployment as it was read; `reload()` reads it anew."""

    def __init__(self, orbit: OrbitHandle, data: Deployment) -> None:
        self.orbit = orbit
        self.data = data

    def __repr__(self) -> str:
        return f"<Deployment {self.data.name!r} {self.data.status} {self.data.id}>"

    @property
    def ids(self) -> tuple[UUID, UUID, UUID]:
        """Organization, orbit and deployment, as the flat calls want them."""
        return (*self.orbit.ids, self.data.id)

    @property
    def url(self) -> str:
        """Where to POST ``{"inputs": …}``. Raises Conflict before it is served anywhere."""
        if not self.data.inference_url:
            raise Conflict(f"The deployment {self.data.name!r} is {self.data.status}; `.wait()` for it.")
        return self.data.inference_url

    def reload(self) -> DeploymentHandle:
        """Read the deployment anew."""
        self.data = self.orbit.client.deployments.get(*self.ids)
        return self

    def wait(self, timeout: float = 600.0) -> DeploymentHandle:
        """Until it is served, at most `timeout` seconds.

        Raises DeploymentFailed with the satellite's reason when it fails or takes longer.
        """
        deadline = time.monotonic() + timeout
        with waiting(f"Deploying {self.data.name}") as say:
            while self.reload().data.status != "active":
                if self.data.status in {"failed", "deletion_pending", "deletion_failed"}:
                    raise DeploymentFailed(self._failure())
                if time.monotonic() > deadline:
                    raise DeploymentFailed(f"{self.data.name} is still {self.data.status} after {timeout:.0f} s.")
                say(self.data.status)
                time.sleep(0.25)
        return self

    def predict(self, data: Any) -> Any:
        """The model's answer to a DataFrame (or array, list, dict of inputs), as a DataFrame with the same index."""
        return predictions(self.compute(request_of_sample(data)), data)

    def compute(self, inputs: Mapping[str, Any], dynamic_attributes: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The model's outputs for inputs by name, as they come over the wire."""
        key = self.orbit.client.connection.api_key
        return compute(self.url, key, {"inputs": dict(inputs), "dynamic_attributes": dict(dynamic_attributes or {})})

    def delete(self) -> None:
        """Ask the satellite to take it down."""
        self.orbit.client.deployments.delete(*self.ids)

    def _failure(self) -> str:
        told = self.data.error_message or {}
        said = ": ".join(str(told[part]) for part in ("reason", "error") if told.get(part))
        return f"The deployment {self.data.name!r} is {self.data.status}. {said}".strip()


def pages(fetch: Callable[[str | None], Page[Any]]) -> Iterator[Any]:
    """The items of all pages."""
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page.items
        if (cursor := page.cursor) is None:
            return


def _is_id(name: str | UUID) -> bool:
    try:
        UUID(str(name))
    except ValueError:
        return False
    return True


def _file_name(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .") or "artifact"
    return kept[:100]
