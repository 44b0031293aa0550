"""A run on disk: its record, whether a process still works on it, and which runs there are.

::

    <runs>/<id>/run.json        the record
                exp.db          what is logged
                attachments/    files by name
                models/         model files that wait to be sent
                alive.lock      locked by the processes that log
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal
from uuid import UUID

import msgspec

from luml_app.packaging.archive import replacing
from luml_app.tracking.errors import TrackingError
from luml_app.tracking.settings import runs_folder

Status = Literal["running", "completed", "failed", "aborted", "crashed"]


class Record(msgspec.Struct, kw_only=True):
    """What is known about a run beside what it logs.

    `error` is the exception that ended it, in one line. `address` and `orbit_id` say where it goes, or `orbit` does, by
    name. `artifact_id` is the artifact that holds it, as of `sent_at`. `models` maps the files of models that the run
    has made to their artifacts, or to None before they are sent. `lost` counts points for which there was no room.
    """

    id: str
    name: str
    group: str | None = None
    tags: list[str] = []
    description: str | None = None
    parent_id: str | None = None
    status: Status = "running"
    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    address: str | None = None
    orbit: str | None = None
    orbit_id: UUID | None = None
    collection: str = "experiments"
    artifact_id: UUID | None = None
    sent_at: datetime | None = None
    models: dict[str, UUID | None] = {}
    lost: int = 0


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "exp.db"

    @property
    def models(self) -> Path:
        """Where model files wait."""
        return self.path / "models"

    def read(self) -> Record:
        """The record. Raises `TrackingError` when it is none."""
        file = self.path / "run.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError) as error:
            raise TrackingError(f"{file} is no record of a run: {error}.") from error

    def write(self, record: Record) -> None:
        """Replace the record, all of it or nothing."""
        with replacing(self.path / "run.json") as temporary:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record)))

    def change(self, **facts: Any) -> Record:
        """Change some facts of the record; the whole record after that."""
        record = msgspec.structs.replace(self.read(), **facts)
        self.write(record)
        return record

    def claim(self) -> IO[bytes]:
        """Say that this process logs, until the file that is given is closed or the process dies, however it dies.

        Forked children hold the lock, too. Raises `TrackingError` while somebody sends the run.
        """
        handle = self._lock_file()
        try:
            _lock(handle, shared=True)
        except OSError as error:
            handle.close()
            raise TrackingError(f"The run in {self.path} is being sent just now; try again in a moment.") from error
        return handle

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody logs; while the block runs, nobody begins to, and nobody else is let in here."""
        with self._lock_file() as handle:
            try:
                _lock(handle, shared=False)
            except OSError:
                yield False
                return
            yield True

    def _lock_file(self) -> IO[bytes]:
        return (self.path / "alive.lock").open("ab")


def _lock(handle: IO[bytes], shared: bool) -> None:
    """Lock a file until it is closed by all who have inherited it. Raises OSError when others are in the way."""
    import fcntl

    fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def folder_of(run_id: str, runs: Path | None = None) -> RunFolder:
    """The folder of a run by its id, or the beginning of it. Raises `TrackingError` when there is none, or several."""
    runs = runs or runs_folder()
    found = [folder for folder, record in all_runs(runs) if run_id and record.id.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    what = "no run" if not found else "more than one run"
    raise TrackingError(f"There is {what} {run_id!r} in {runs}; `luml runs list` shows those that there are.")


def all_runs(runs: Path | None = None) -> Iterator[tuple[RunFolder, Record]]:
    """All runs that are kept, in no order; folders without a record that can be read are none."""
    for file in (runs or runs_folder()).glob("*/run.json"):
        if file.parent.name.startswith("."):  # a run that is just being fetched
            continue
        with suppress(TrackingError):
            yield (folder := RunFolder(file.parent)), folder.read()


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
