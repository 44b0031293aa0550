"""Runs of an orbit: begun here, sent here, and what others have left behind sent, too."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from luml_app.schemas.errors import Conflict, LumlError, NotFound

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.client.objects import ArtifactHandle
    from luml_app.client.orbits import OrbitHandle
    from luml_app.tracking import Run
    from luml_app.tracking.folders import Record


class Runs:
    """What an orbit has to do with runs; a part of `OrbitHandle`."""

    def run(
        self,
        name: str = "",
        *,
        tags: Iterable[str] = (),
        group: str | None = None,
        resume: str | None = None,
        collection: str = "experiments",
        **options: Any,
    ) -> Run:
        """Begin a training run, or `resume` one by its id; use it as a context manager.

        It is kept on this machine while it runs, and sent to `collection` when it ends; `options` as of
        `luml_app.tracking.Run`. A run that has gone on elsewhere since, or has never been here, is fetched first, by
        its whole id. Runs that were killed or could not be sent before are sent meanwhile.
        """
        from luml_app.tracking import Run
        from luml_app.tracking.settings import is_offline

        orbit = cast("OrbitHandle", self)
        destination = OrbitDestination(orbit, collection)
        if resume is not None and not is_offline():
            _fetch_what_went_on_elsewhere(orbit, resume, options.get("folder"))
        run = Run(name, tags=tags, group=group, resume=resume, destination=destination, **options)
        if not is_offline():
            threading.Thread(target=_send_left_behind, args=(orbit, run), daemon=True, name="luml-run-sender").start()
        return run


class OrbitDestination:
    """Sends runs to a collection of an orbit."""

    def __init__(self, orbit: OrbitHandle, collection: str = "experiments") -> None:
        self._orbit = orbit
        self._collection = collection

    def place(self) -> dict[str, Any]:
        """Where it is, for the record of a run."""
        known = {"address": self._orbit.client.address, "orbit": self._orbit.data.name, "orbit_id": self._orbit.data.id}
        return {**known, "collection": self._collection}

    def send_run(self, path: Path, record: Record) -> ArtifactHandle:
        """Store the file of a run, and delete the artifact that held it before. Raises `LumlError`."""
        facts = {"run_id": record.id, "run_status": record.status}
        facts |= {"parent_run_id": record.parent_id} if record.parent_id else {}
        stored = self._stored(
            path, record.name, self._collection, facts, tags=record.tags, description=record.description
        )
        if record.artifact_id not in (None, stored.id):
            self._remove(record.artifact_id)
        return stored

    def send_model(self, path: Path, record: Record) -> ArtifactHandle:
        """Store the file of a model that the run has made. Raises `LumlError`."""
        return self._stored(path, None, "models", {"run_id": record.id}, tags=record.tags)

    def _stored(
        self, path: Path, name: str | None, collection: str, params: dict[str, Any], **facts: Any
    ) -> ArtifactHandle:
        """The artifact with these bytes: the one that is there from a break after the last upload, or a new one."""
        from luml_app.packaging import Archive

        known = self._orbit.client.artifacts.by_hash(*self._orbit.ids, sha256=Archive(path).sha256())
        for one in known:
            found = self._orbit.artifact(one.id)
            if found.data.params.get("run_id") == params["run_id"]:
                return found
        return self._orbit.upload(path, collection, name=name, params=params, **facts)

    def _remove(self, artifact_id: UUID | None) -> None:
        with suppress(NotFound, Conflict):  # gone already, or in a track, where it stays
            self._orbit.artifact(str(artifact_id)).delete()


def _fetch_what_went_on_elsewhere(orbit: OrbitHandle, run_id: str, folder: str | Path | None) -> None:
    """Bring a run here that is not, or was resumed on another machine. What waits here to be sent is never replaced."""
    from luml_app.tracking.errors import TrackingError
    from luml_app.tracking.folders import folder_of
    from luml_app.tracking.settings import runs_folder
    from luml_app.tracking.unpacking import unpack_run

    runs, record = Path(folder).absolute() if folder is not None else runs_folder(), None
    with suppress(TrackingError):
        record = folder_of(run_id, runs).read()
    if (record is None and not _is_id(run_id)) or (record is not None and record.sent_at is None):
        return
    wanted = f'params.run_id = "{record.id if record else UUID(run_id)}"'
    for stored in orbit.artifacts(types=["experiment"], status=["uploaded"], filter=wanted, limit=1):
        if record is None or record.artifact_id != stored.id:
            with tempfile.TemporaryDirectory(prefix="luml-") as scratch:
                file = orbit.artifact(stored.id).download(scratch)
                unpack_run(file, runs, str(stored.params["run_id"]), stored.id)
        return


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def sync(
    client: Client, orbit: str | None = None, runs: Path | None = None
) -> Iterator[tuple[Record, LumlError | None]]:
    """Send the runs that wait, each to its orbit, those without one to `orbit`; each with what went wrong, or None.

    Runs of another server wait on.
    """
    from luml_app.tracking.destination import unsent

    for folder, record in unsent(runs):
        if record.address in (None, client.address):
            try:
                place = client.orbit(record.orbit_id or record.orbit or orbit)
                yield _sent(folder, OrbitDestination(place, record.collection)), None
            except LumlError as error:
                yield record, error


def _sent(folder: Any, destination: OrbitDestination) -> Record:
    from luml_app.tracking.destination import send
    from luml_app.tracking.errors import TrackingError

    with folder.alone() as nobody_logs:
        if not nobody_logs:
            raise TrackingError("Somebody logs to it again, or sends it already.")
        return send(folder, destination)


def _send_left_behind(orbit: OrbitHandle, run: Run) -> None:
    """Send what earlier runs have left behind, beside a training that must not notice."""
    from luml_app.tracking.destination import unsent

    try:
        for folder, record in unsent(run.path.parent):
            if record.orbit_id == orbit.data.id and record.address == orbit.client.address:
                _sent(folder, OrbitDestination(orbit, record.collection))
    except Exception:  # noqa: S110  # it is tried again by the next run, and `luml sync` says what is wrong
        pass
