"""A stored run, brought back to this machine, so that it can go on here."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import zipfile
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from luml_app.packaging import Archive
from luml_app.packaging.experiment_archive import store_attachment
from luml_app.packaging.metrics_database import open_database, unzip_database
from luml_app.tracking.errors import TrackingError
from luml_app.tracking.folders import Record, RunFolder, now

_DATABASE = "exp.db.zip"
_LARGEST = 8 * 1024**3


def unpack_run(file: Path, runs: Path, run_id: str, artifact_id: UUID) -> RunFolder:
    """Bring the run of a file into its folder in `runs`, in place of what is there, all of it or nothing.

    Raises `TrackingError` while somebody logs to what is there, and `LumlError` for a file that is no run.
    """
    folder = RunFolder(runs / str(UUID(run_id)))
    draft = RunFolder(runs / f".{folder.path.name}.{secrets.token_hex(4)}")
    draft.path.mkdir(parents=True)
    try:
        archive = Archive(file)
        _unpack_database(archive, draft)
        _unpack_attachments(archive, draft.path)
        draft.write(_record(archive.manifest, folder.path.name, artifact_id))
        _replace(folder, draft)
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    return folder


def _replace(folder: RunFolder, draft: RunFolder) -> None:
    if folder.path.exists():
        with folder.alone() as nobody_logs:
            if not nobody_logs:
                raise TrackingError(f"The run in {folder.path} still runs; end it first.")
            shutil.rmtree(folder.path)
    draft.path.rename(folder.path)


def _unpack_database(archive: Archive, draft: RunFolder) -> None:
    packed = draft.path / _DATABASE
    packed.write_bytes(archive.read(_DATABASE, limit=_LARGEST))
    try:
        unzip_database(packed, draft.database)
        with closing(open_database(draft.database)) as database:
            database.execute("SELECT count(*) FROM attachments").fetchone()
    except (zipfile.BadZipFile, sqlite3.Error, StopIteration) as error:
        raise TrackingError(f"The file of the run holds no database that can be read: {error}.") from error
    packed.unlink()


def _unpack_attachments(archive: Archive, folder: Path) -> None:
    index = archive.read_json("attachments.index.json")
    outer, room = archive.index.get("attachments.tar", [0, 0])
    with archive.path.open("rb") as stream:
        for name, (offset, size) in index.items():
            if not 0 <= offset <= offset + size <= room:
                raise TrackingError(f"The place of the attachment {name!r} is outside of its archive.")
            stream.seek(outer + offset)
            store_attachment(folder, name, stream.read(size))


def _record(manifest: dict[str, Any], run_id: str, artifact_id: UUID) -> Record:
    payload = manifest.get("payload") or {}
    started = payload.get("started_at")
    return Record(
        id=run_id,
        name=str(manifest.get("name") or run_id),
        description=manifest.get("description"),
        group=payload.get("group"),
        tags=[str(tag) for tag in payload.get("tags") or []],
        parent_id=payload.get("parent_id"),
        status="completed",
        started_at=datetime.fromisoformat(started) if started else now(),
        artifact_id=artifact_id,
        sent_at=now(),
    )
