"""Objects that know what can be done with them: artifacts, tracks and deployments; `orbits.py` finds them.

They wrap what the flat calls return (`.data`) and hold no connection of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack
from uuid import UUID

from luml_app.client.downloading import download
from luml_app.client.inference import compute, predictions, request_of_sample
from luml_app.client.logs import Chosen
from luml_app.client.paging import pages
from luml_app.client.progress import bytes_bar, waiting
from luml_app.client.recordings import Recordings
from luml_app.client.tables import Tables
from luml_app.schemas.artifacts import Artifact
from luml_app.schemas.collections import Collection
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import Conflict, LumlError, NotFound, Unavailable
from luml_app.schemas.fields import UNSET
from luml_app.schemas.logs import LogLine, RequestRecord
from luml_app.schemas.revisions import Revision, RolloutBounds, RolloutStep
from luml_app.schemas.rollouts import RevisionDifference, RolloutCreate
from luml_app.schemas.tracks import Stage, Tenure, Track, TrackEntry, Version

if TYPE_CHECKING:
    from luml_app.client.orbits import OrbitHandle


class DeploymentFailed(LumlError):  # noqa: N818
    """The deployment failed."""

    code = "deployment_failed"


class ArtifactHandle(Recordings, Tables):
    """A stored model, dataset or experiment. `data` is the artifact as it was read."""

    def __init__(self, orbit: OrbitHandle, data: Artifact) -> None:
        self.orbit = orbit
        self.data = data

    def __repr__(self) -> str:
        return f"<{self.data.type.capitalize()} {self.data.name!r} {self.data.id}>"

    @classmethod
    def read(cls, orbit: OrbitHandle, collection_id: UUID, artifact_id: UUID) -> Self:
        """Read the artifact from the server. Raises NotFound."""
        return cls(orbit, orbit.client.artifacts.get(*orbit.ids, collection_id, artifact_id))

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
        target = target / self._own_file_name() if target.is_dir() else target
        client = self.orbit.client
        data = self.data
        with bytes_bar(f"Downloading {data.name or data.file_name}", data.size) as progress:
            return download(client.direct, self.address, target, data.file_hash, data.size, progress)

    def log(
        self,
        metrics: Mapping[str, float | None] | None = None,
        params: Mapping[str, str | float | bool | None] | None = None,
    ) -> Self:
        """Add metrics and parameters, or change them; None removes one, and the others stay."""
        self.orbit.client.artifacts.update(*self.ids, metrics=dict(metrics or {}), params=dict(params or {}))
        self.data = type(self).read(self.orbit, self.data.collection_id, self.data.id).data
        return self

    def deploy(
        self,
        name: str | None = None,
        *,
        satellite: str | UUID | None = None,
        parameters: Mapping[str, bool | int | str] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str | UUID] | None = None,
        attribute_secrets: Mapping[str, str | UUID] | None = None,
        following: UUID | None = None,
    ) -> DeploymentHandle:
        """Deploy this model on a satellite (by default the only one); `.wait()` for it to be ready.

        `env` are environment variables of the model; `secrets` are such, too, each with the name or id of a secret of
        the orbit; `attribute_secrets` fill dynamic attributes. `following` is the id of a stage whose versions are
        served from now on, this one first. Raises NotFound for a secret that is not there.
        """
        made = self.orbit.client.deployments.create(
            *self.orbit.ids,
            satellite_id=self.orbit.satellite(satellite).id,
            artifact_id=self.data.id if following is None else UNSET,
            follow_stage_id=following,
            name=name or self.data.name or self.data.file_name,
            satellite_parameters=dict(parameters or {}),
            env_variables=dict(env or {}),
            env_variables_secrets=self.orbit.secret_ids(secrets or {}),
            dynamic_attributes_secrets=self.orbit.secret_ids(attribute_secrets or {}),
        )
        return DeploymentHandle(self.orbit, made)

    def move(self, collection: str | Collection) -> Self:
        """Move it into another collection (a name is created if missing); tracks and deployments do not notice.

        Raises Conflict when the collection is for other types.
        """
        target = self.orbit.collection(collection) if isinstance(collection, str) else collection
        if target.id != self.data.collection_id:
            self.data = self.orbit.client.artifacts.move(*self.ids, target_collection_id=target.id)
        return self

    def delete(self) -> None:
        """Delete the artifact and its bytes. Raises Conflict while it is deployed or in a track."""
        self.orbit.client.artifacts.delete(*self.ids)

    def address(self) -> str:
        """A signed address of the file, good for a while."""
        return self.orbit.client.artifacts.download_url(*self.ids).url

    def _own_file_name(self) -> str:
        """The last part of the file's name: it was chosen by whoever uploaded it, and must not lead elsewhere."""
        name = self.data.file_name.replace("\\", "/").rpartition("/")[2].lstrip(".")
        return name or str(self.data.id)


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

    def add(self, artifact: ArtifactHandle, *, why: str | None = None) -> TrackEntry:
        """The artifact's version in this track; a new one if it has none yet."""
        if known := self._entry_of(artifact):
            return known
        try:
            return self.orbit.client.track_entries.create(*self.ids, artifact_id=artifact.id, why=why)
        except Conflict:  # somebody else has added it in the same moment
            if known := self._entry_of(artifact):
                return known
            raise

    def promote(self, artifact: ArtifactHandle, stage: str, *, why: str | None = None) -> TrackEntry:
        """Make the artifact's version the one in `stage`, whoever is there now; the history keeps `why`.

        Raises Forbidden when the stage is protected and you are no admin of the orbit.
        """
        entry, target = self.add(artifact, why=why), self.stage(stage)
        if entry.stage_id == target.id:
            return entry
        return self.orbit.client.track_entries.update(*self.ids, entry.id, stage_id=target.id, force=True, why=why)

    def history(self, stage: str) -> Iterator[Tenure]:
        """The versions that were in `stage`, the latest first: since when, until when, by whom and why."""
        found, client = self.stage(stage), self.orbit.client
        return pages(lambda cursor: client.track_history.stage(*self.ids, found.id, cursor=cursor))

    def as_of(self, moment: datetime) -> Track:
        """The track with its stages and `versions` as they were at `moment` (with a time zone).

        Raises Invalid for a moment that is still to come, and NotFound for one before its history began.
        """
        return self.orbit.client.tracks.get(*self.ids, as_of=moment)

    def version_in(self, stage: str, as_of: datetime | None = None) -> Version | None:
        """The version that is in `stage`, or was in it at `as_of` (with a time zone); None when none was."""
        there = self.orbit.client.tracks.stage(*self.ids, self.stage(stage).id, as_of=as_of).version
        return there if isinstance(there, Version) else None

    def _entry_of(self, artifact: ArtifactHandle) -> TrackEntry | None:
        return next((entry for entry in self.entries() if entry.artifact_id == artifact.id), None)


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
        if self.data.inference_url:
            return self.data.inference_url
        hint = " `.wait()` for it." if self.data.status == "pending" else ""
        raise Conflict(self._failure() + hint)

    @property
    def artifact(self) -> ArtifactHandle:
        """The model that is served."""
        return ArtifactHandle.read(self.orbit, self.data.collection_id, self.data.artifact_id)

    def reload(self) -> DeploymentHandle:
        """Read the deployment anew."""
        self.data = self.orbit.client.deployments.get(*self.ids)
        return self

    def wait(self, timeout: float = 600.0) -> DeploymentHandle:
        """Until what is wanted now is served (or, after `stop`, nothing is any more), at most `timeout` seconds.

        Raises DeploymentFailed with the satellite's reason when it fails or takes longer.
        """
        deadline = time.monotonic() + timeout
        with waiting(f"Deploying {self.data.name}") as say:
            while not self._is_served(patient=time.monotonic() < deadline):
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
        client = self.orbit.client
        body = {"inputs": dict(inputs), "dynamic_attributes": dict(dynamic_attributes or {})}
        return compute(client.direct, self.url, client.connection.api_key, body)

    def logs(self, **chosen: Unpack[Chosen]) -> Iterator[LogLine]:
        """What its models have printed, and what was done with it; the arguments are those of `Client.logs`."""
        return self.orbit.client.logs(*self.ids, **chosen)

    def requests(self, **chosen: Unpack[Chosen]) -> Iterator[RequestRecord]:
        """Requests that its satellite has recorded, where the parameter `monitoring` says so; chosen as in `logs`."""
        return self.orbit.client.requests(*self.ids, **chosen)

    def update(
        self,
        artifact: ArtifactHandle | None = None,
        *,
        parameters: Mapping[str, bool | int | str] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str | UUID] | None = None,
        weight: int = 100,
        mirror: bool = False,
        steps: Sequence[tuple[int, int]] = (),
        bounds: RolloutBounds | None = None,
        why: str | None = None,
    ) -> Self:
        """Roll out another model, or the same with other parameters or environment; `.wait()` for it to serve.

        What is not given stays; what is replaces all there was. What serves now goes on until the new revision is
        ready. That one gets `weight` percent of the requests, or, as a `mirror`, copies whose answers are dropped; with
        `steps`, pairs of percent and seconds, its share grows by itself: ``[(5, 600), (25, 600), (100, 0)]``. If it
        does not keep to the `bounds`, the satellite takes it back.
        """
        changes: dict[str, Any] = {"artifact_id": artifact and artifact.id}
        changes |= {"satellite_parameters": parameters, "env_variables": env}
        changes["env_variables_secrets"] = None if secrets is None else self.orbit.secret_ids(secrets)
        planned = [RolloutStep(weight=share, seconds=seconds) for share, seconds in steps]
        rollout = RolloutCreate(weight=weight, mirror=mirror, steps=planned, bounds=bounds)
        sent = {name: value for name, value in changes.items() if value is not None}
        self.data = self.orbit.client.revisions.create(*self.ids, **sent, rollout=rollout, why=why)
        return self

    def shift(self, weight: int, *, why: str | None = None) -> Self:
        """Give the new revision of a rollout `weight` percent of the requests; with 100 it takes over.

        Raises Conflict when no rollout is under way.
        """
        self.data = self.orbit.client.rollouts.update(*self.ids, weight=weight, why=why)
        return self

    def promote(self, *, why: str | None = None) -> Self:
        """Let the new revision of a rollout take over."""
        return self.shift(100, why=why)

    def revisions(self) -> Iterator[Revision]:
        """What it serves and has served, newest first."""
        return pages(lambda cursor: self.orbit.client.revisions.list(*self.ids, cursor=cursor))

    def difference(self, revision: int | UUID | Revision | None = None) -> RevisionDifference:
        """What `rollback` to a revision (by number or id; by default the one that served before) would change."""
        return self.orbit.client.revisions.difference(*self.ids, self._revision(revision).id)

    def rollback(self, revision: int | UUID | Revision | None = None, *, why: str | None = None) -> Self:
        """Go back to a revision, by number or id; by default to the one that served before. `difference` shows what
        that changes. What serves now goes on until that revision is ready.

        Raises Conflict when there is none to go back to.
        """
        wanted = None if revision is None else self._revision(revision).id
        self.data = self.orbit.client.rollouts.rollback(*self.ids, revision_id=wanted, why=why)
        return self

    def follow(self, track: str | TrackHandle | None, stage: str = "") -> Self:
        """From now on serve whatever version is in `stage` of `track`; with None, stay with the present one."""
        stage_id = None if track is None else self.orbit.stage_of(track, stage).id
        self.data = self.orbit.client.deployments.update(*self.ids, follow_stage_id=stage_id)
        return self

    def stop(self, *, why: str | None = None) -> Self:
        """Stop serving; what it is stays, and `start` serves it again."""
        self.data = self.orbit.client.deployments.stop(*self.ids, why=why)
        return self

    def start(self, *, why: str | None = None) -> Self:
        """Serve again what was stopped."""
        self.data = self.orbit.client.deployments.start(*self.ids, why=why)
        return self

    def restart(self, *, why: str | None = None) -> Self:
        """Replace every replica; the old ones serve until the new ones are ready."""
        self.data = self.orbit.client.deployments.restart(*self.ids, why=why)
        return self

    def delete(self, *, force: bool = False) -> None:
        """Ask the satellite to take it down; with `force`, forget it at once, even if its satellite is away."""
        deployments = self.orbit.client.deployments
        if force:
            deployments.force_delete(*self.ids)
        else:
            deployments.delete(*self.ids)

    def _revision(self, wanted: int | UUID | Revision | None) -> Revision:
        """A revision by number or id; None: the one to go back to."""
        if isinstance(wanted, Revision):
            return wanted
        current, stable = self.data.revision, self.data.targets[0].revision
        if wanted is None and stable.id != current.id:
            return stable
        for one in self.revisions():
            held = one.number < current.number and one.served_at and not one.problem
            if held if wanted is None else wanted in (one.number, one.id):
                return one
        if wanted is None:
            raise Conflict("No earlier revision of this deployment has served; name the one that you want.")
        raise NotFound(f"The deployment {self.data.name!r} has no revision {wanted}.")

    def _is_served(self, patient: bool) -> bool:
        """Whether it is served now. While `patient`, a server that is away for a moment is waited for, too."""
        try:
            self.reload()
        except Unavailable:
            if not patient:
                raise
            return False
        told = self.data.observed_generation == self.data.generation
        failed = self.data.error_message and told and self.data.status == "active"
        if failed or self.data.status in {"failed", "deletion_pending", "deletion_failed"}:
            raise DeploymentFailed(self._failure())
        return told and (self.data.status == "active" or self.data.desired == "stopped")

    def _failure(self) -> str:
        told = self.data.error_message or {}
        said = ": ".join(str(told[part]) for part in ("reason", "error") if told.get(part))
        return f"The deployment {self.data.name!r} is {self.data.status}. {said}".strip()
