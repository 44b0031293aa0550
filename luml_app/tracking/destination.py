"""Where runs go: packed, sent, and found again when something came between."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.experiment_archive import experiment_manifest, pack_experiment
from luml_app.packaging.metrics_database import open_database
from luml_app.tracking.folders import Record, RunFolder, all_runs, now


class Stored(Protocol):
    """What a destination gives for what it has stored."""

    @property
    def id(self) -> UUID:
        """The artifact's id."""


class Destination(Protocol):
    """A place in a registry."""

    def place(self) -> dict[str, Any]:
        """The facts of a run's record that say where this is: `address`, `orbit`, `orbit_id`."""

    def send_run(self, path: Path, record: Record) -> Stored:
        """Store the file of a run, in place of the artifact that held it before."""

    def send_model(self, path: Path, record: Record) -> Stored:
        """Store the file of a model that the run has made."""


def send(folder: RunFolder, destination: Destination) -> Record:
    """Send a run that nobody logs to, and the models that wait in its folder; its record after that.

    To send it again, after a break, stores nothing twice. Raises `LumlError` when something does not arrive.
    """
    record = folder.read()
    if record.status == "running":  # whoever ran it is gone without a word
        record = folder.change(status="crashed", ended_at=record.ended_at or _last_change(folder))
    for file, artifact_id in record.models.items():
        if artifact_id is None:
            stored = destination.send_model(folder.models / file, record)
            record = folder.change(models={**record.models, file: stored.id})
    with tempfile.TemporaryDirectory(prefix="luml-") as scratch:
        saved = pack(folder, Path(scratch) / file_name(record.name))
        stored = destination.send_run(saved.path, record)
    record = folder.change(artifact_id=stored.id, sent_at=now(), **destination.place())
    for file in record.models:
        (folder.models / file).unlink(missing_ok=True)
    return record


def pack(folder: RunFolder, path: Path) -> SavedArtifact:
    """Write the run as it is now into one file."""
    record = folder.read()
    manifest = experiment_manifest(
        record.name,
        record.description,
        local_experiment_id=record.id,
        status=record.status,
        group=record.group,
        tags=record.tags,
        parent_id=record.parent_id,
        started_at=record.started_at.isoformat(),
        ended_at=record.ended_at and record.ended_at.isoformat(),
        error=record.error,
        lost_points=record.lost,
    )
    with closing(open_database(folder.database)) as database:
        return pack_experiment(database, folder.path, path, manifest)


def unsent(runs: Path | None = None) -> Iterator[tuple[RunFolder, Record]]:
    """The runs that have ended, one way or another, and wait to be sent, oldest first.

    What a living process logs to is left out, and so is a run that is being sent already.
    """
    waiting = [(folder, record) for folder, record in all_runs(runs) if record.sent_at is None]
    for folder, record in sorted(waiting, key=lambda one: one[1].started_at):
        with folder.alone() as nobody_logs:
            ended = nobody_logs
        if ended:
            yield folder, record


def _last_change(folder: RunFolder) -> datetime:
    files = [file for file in folder.path.glob("exp.db*") if file.is_file()]
    return datetime.fromtimestamp(max((file.stat().st_mtime for file in files), default=0.0), UTC)


def file_name(name: str) -> str:
    """A name for the file of a run of this name."""
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .") or "run"
    return f"{kept[:100]}.tar"
