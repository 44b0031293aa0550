"""A tracker for one experiment: parameters, metrics over steps and attachments, kept in a local SQLite file.

Everything is on disk when a call returns, so a killed process loses nothing: open the same folder again and go on.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
import threading
import uuid
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.metrics_database import SCHEMA, USER_VERSION, last_metrics, logged_params

# One statement, so that two processes that log at once never take the same step.
_LOG_METRIC = """
INSERT OR REPLACE INTO dynamic_metrics (key, value, step)
SELECT :key, :value, coalesce(:step, (SELECT max(step) + 1 FROM dynamic_metrics WHERE key = :key), 0)
"""
_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Experiment:
    """One experiment, kept in the folder `path` (default: ``.luml/experiments/<name>-<id>`` in the current folder).

    A folder that holds an experiment already is continued. Usable from several threads, and as a context manager.
    `id` identifies the experiment, `group` and `tags` describe it to whoever searches.
    """

    def __init__(
        self, name: str, path: str | Path | None = None, *, group: str | None = None, tags: list[str] | None = None
    ) -> None:
        if not name.strip():
            raise PackagingError("name is empty; give the experiment a name.")
        self.name = name
        new_id = str(uuid.uuid4())
        folder = f"{_SAFE_NAME.sub('-', name)}-{new_id[:8]}"
        self.path = Path(path) if path is not None else Path(".luml") / "experiments" / folder
        (self.path / "attachments").mkdir(parents=True, exist_ok=True)
        self.id, self.group, self.tags = self._identity({"id": new_id, "group": group, "tags": tags or []})
        self._lock = threading.RLock()
        self._database = _open_database(self.path / "exp.db")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep parameters by name; a later value takes the place of an earlier one."""
        rows = [(str(key), *_as_param(str(key), value)) for key, value in params.items()]
        with self._lock, self._database:
            self._database.executemany("INSERT OR REPLACE INTO static_params VALUES (?, ?, ?)", rows)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep metrics at `step`, by default the one after each metric's last. NaN and infinities are kept.

        The same metric at the same step is replaced. Raises `PackagingError` for what is not a number.
        """
        values = metadata.checked_metrics(metrics)
        at = None if step is None else int(step)
        rows = [{"key": key, "value": float(value), "step": at} for key, value in values.items()]
        with self._lock, self._database:
            self._database.executemany(_LOG_METRIC, rows)

    def attach(self, name: str, content: bytes | str | Path) -> None:
        """Keep a file under `name`: its bytes, or the path of a file to copy. An earlier one is replaced."""
        _refuse_unsafe_attachment(name)
        target = self.path / "attachments" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                shutil.copyfile(content, temporary)
        with self._lock, self._database:
            self._database.execute("DELETE FROM attachments WHERE name = ?", (name,))
            self._database.execute(
                "INSERT INTO attachments (name, file_path, size) VALUES (?, ?, ?)", (name, name, target.stat().st_size)
            )

    def save(self, path: str | Path, *, description: str | None = None) -> SavedArtifact:
        """Pack the experiment as it is now into one file. It may be continued, and saved again, afterwards."""
        path = Path(path)
        with tempfile.TemporaryDirectory(prefix="luml_experiment_") as folder, replacing(path) as temporary:
            snapshot = Path(folder) / "exp.db"
            with self._lock:
                values, logged = last_metrics(self._database), logged_params(self._database)
                names = [row[0] for row in self._database.execute("SELECT name FROM attachments ORDER BY name")]
                _copy_database(self._database, snapshot)
            manifest = self._manifest(description)
            writer = self._pack(temporary, Path(folder), manifest, names)
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

    def close(self) -> None:
        """Close the local file. What was logged stays."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _identity(self, fresh: dict[str, Any]) -> tuple[str, str | None, list[str]]:
        """Id, group and tags: those of the folder where it has been used before."""
        file = self.path / "experiment.json"
        if not file.exists():
            with replacing(file) as temporary:
                temporary.write_text(json.dumps({"name": self.name, **fresh}))
        known = json.loads(file.read_text())
        return known["id"], known["group"], known["tags"]

    def _manifest(self, description: str | None) -> dict[str, Any]:
        return {
            "artifact_type": "experiment",
            "variant": "default",
            "name": self.name,
            "description": description,
            "version": None,
            "producer_name": metadata.PRODUCER,
            "producer_version": metadata.producer_version(),
            "producer_tags": [],
            "payload": {
                "local_experiment_id": self.id,
                "status": "completed",
                "group": self.group,
                "tags": self.tags,
            },
        }

    def _pack(self, target: Path, folder: Path, manifest: dict[str, Any], names: list[str]) -> ArchiveWriter:
        zipped = _zipped(folder / "exp.db")
        attachments = folder / "attachments.tar"
        with attachments.open("wb") as stream, ArchiveWriter(stream) as inner:
            for name in names:
                inner.add(f"attachments/{name}", self.path / "attachments" / name)
        index = {name.removeprefix("attachments/"): place for name, place in inner.index.items()}
        with target.open("wb") as stream, ArchiveWriter(stream) as writer:
            writer.add("manifest.json", metadata.as_document(manifest))
            writer.add("exp.db.zip", zipped)
            writer.add("attachments.index.json", json.dumps(index, ensure_ascii=False).encode())
            writer.add("attachments.tar", attachments)
        return writer


def _open_database(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False, timeout=30)
    # Written ahead, a transaction survives the death of the process; only a power cut may take the last ones.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version = {USER_VERSION}")
    return connection


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
        zipfile.ZipFile(target, "w") as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        shutil.copyfileobj(source, stream)
    return target


def _as_param(name: str, value: Any) -> tuple[str, str]:
    """A parameter as text and the type to read it back with."""
    value = value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return ("true" if value else "false") if kind is bool else str(value), kind.__name__
    try:
        return json.dumps(value), "json"
    except (TypeError, ValueError) as error:
        raise PackagingError(
            f"Parameter {name!r} is a {type(value).__name__}, which JSON cannot hold: {error}."
        ) from error


def _refuse_unsafe_attachment(name: str) -> None:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in name or not name.isprintable():
        raise PackagingError(f"The attachment name {name!r} must be a plain relative path such as 'plots/roc.png'.")
