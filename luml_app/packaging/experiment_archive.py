"""The file of an experiment: what is on disk while it is recorded, packed into one archive."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.metric_curves import CURVES, all_curves
from luml_app.packaging.metrics_database import last_metrics, logged_params

ATTACHMENTS = "attachments"


def experiment_manifest(name: str, description: str | None, **payload: Any) -> dict[str, Any]:
    """The manifest of an experiment; `payload` says what identifies it and how it ended."""
    return {
        "artifact_type": "experiment",
        "variant": "default",
        "name": name,
        "description": description,
        "version": None,
        "producer_name": metadata.PRODUCER,
        "producer_version": metadata.producer_version(),
        "producer_tags": [],
        "payload": payload,
    }


def pack_experiment(
    database: sqlite3.Connection, folder: Path, path: str | Path, manifest: dict[str, Any]
) -> SavedArtifact:
    """Write the experiment of a database, and the attachments in `folder`, into the file `path`, all of it or nothing.

    What is logged meanwhile, by whatever thread or process, is not in it; nobody waits for anybody.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix="luml_experiment_") as scratch, replacing(path) as temporary:
        snapshot = Path(scratch) / "exp.db"
        _copy_database(database, snapshot)
        with closing(sqlite3.connect(snapshot)) as copy:
            values, logged, curves = last_metrics(copy), logged_params(copy), all_curves(copy)
            names = [row[0] for row in copy.execute("SELECT DISTINCT name FROM attachments ORDER BY name")]
        attachments = _pack_attachments(folder, names, Path(scratch))
        with temporary.open("wb") as stream, ArchiveWriter(stream) as writer:
            writer.add("manifest.json", metadata.as_document(manifest))
            writer.add(CURVES, metadata.as_document(curves, indent=None))
            writer.add("exp.db.zip", _zipped(snapshot))
            writer.add("attachments.index.json", _index_of(attachments))
            writer.add("attachments.tar", Path(scratch) / "attachments.tar")
    return SavedArtifact(
        path=path,
        manifest=manifest,
        file_index=writer.index,
        file_hash=writer.digest,
        size=writer.size,
        type="experiment",
        extra_values=values,
        params=logged,
    )


def store_attachment(folder: Path, name: str, content: bytes | Path) -> int:
    """Keep bytes, or a copy of a file, under `name` in the attachments of `folder`; how many bytes it has.

    Raises `PackagingError` for a name that leads elsewhere.
    """
    _refuse_unsafe_attachment(name)
    target = folder / ATTACHMENTS / name
    with replacing(target) as temporary:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            shutil.copyfile(content, temporary)
        return temporary.stat().st_size


def _pack_attachments(folder: Path, names: list[str], scratch: Path) -> ArchiveWriter:
    with (scratch / "attachments.tar").open("wb") as stream, ArchiveWriter(stream) as inner:
        for name in names:
            inner.add(f"{ATTACHMENTS}/{name}", folder / ATTACHMENTS / name)
    return inner


def _index_of(attachments: ArchiveWriter) -> bytes:
    index = {name.removeprefix(f"{ATTACHMENTS}/"): place for name, place in attachments.index.items()}
    return json.dumps(index, ensure_ascii=False).encode()


def _copy_database(source: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        # One file without a write-ahead log, so that it can be read from read-only places.
        copy.execute("PRAGMA journal_mode = DELETE")


def _zipped(database: Path) -> Path:
    target = database.with_suffix(".db.zip")
    # A constant date: the same database gives the same bytes.
    member = zipfile.ZipInfo("exp.db", date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    with (
        database.open("rb") as source,
        zipfile.ZipFile(target, "w", compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        shutil.copyfileobj(source, stream, 1 << 20)
    return target


def _refuse_unsafe_attachment(name: str) -> None:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in name or not name.isprintable():
        raise PackagingError(f"The attachment name {name!r} must be a plain relative path such as 'plots/roc.png'.")
