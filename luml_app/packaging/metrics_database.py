"""The SQLite file of an experiment: its tables, and its last metrics read out of a packed archive."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from luml_app.packaging.archive import Archive
from luml_app.packaging.errors import PackagingError

USER_VERSION = 2
_MAX_UNPACKED = 8 * 1024**3
_MAX_PACKED = 2 * 1024**3

SCHEMA = """
CREATE TABLE IF NOT EXISTS static_params (key TEXT PRIMARY KEY, value TEXT, value_type TEXT);
CREATE TABLE IF NOT EXISTS dynamic_metrics (
    key TEXT NOT NULL, value REAL, step INTEGER NOT NULL, logged_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (key, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, file_path TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, size INTEGER
);
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_span_id TEXT, name TEXT NOT NULL, kind INTEGER,
    dfs_span_type INTEGER NOT NULL DEFAULT 0, start_time_unix_nano BIGINT NOT NULL,
    end_time_unix_nano BIGINT NOT NULL, status_code INTEGER, status_message TEXT, attributes TEXT, events TEXT,
    links TEXT, trace_flags INTEGER DEFAULT 0, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (trace_id, span_id)
);
CREATE TABLE IF NOT EXISTS evals (
    id TEXT NOT NULL, dataset_id TEXT NOT NULL, inputs TEXT NOT NULL, outputs TEXT, refs TEXT, scores TEXT,
    metadata TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (dataset_id, id)
);
CREATE TABLE IF NOT EXISTS eval_traces_bridge (
    id INTEGER PRIMARY KEY AUTOINCREMENT, eval_dataset_id TEXT NOT NULL, eval_id TEXT NOT NULL, trace_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS eval_annotations (
    id TEXT PRIMARY KEY, dataset_id TEXT NOT NULL, eval_id TEXT NOT NULL, name TEXT NOT NULL,
    annotation_kind TEXT NOT NULL, value_type TEXT NOT NULL, value TEXT NOT NULL, user TEXT NOT NULL, rationale TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS span_annotations (
    id TEXT PRIMARY KEY, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, name TEXT NOT NULL,
    annotation_kind TEXT NOT NULL, value_type TEXT NOT NULL, value TEXT NOT NULL, user TEXT NOT NULL, rationale TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
"""

# NaN has no place in a REAL column: SQLite stores NULL for it, so NULL is read as NaN. Infinities are kept.
_LAST = (
    "SELECT key, value FROM dynamic_metrics AS m WHERE step = (SELECT max(step) FROM dynamic_metrics WHERE key = m.key)"
)


def open_database(file: Path) -> sqlite3.Connection:
    """The database of an experiment that is recorded, made if there is none; for one thread at a time."""
    connection = sqlite3.connect(file, check_same_thread=False, timeout=30)
    # Written ahead, a transaction survives the death of the process; only a power cut may take the last ones.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version = {USER_VERSION}")
    return connection


def as_param(name: str, value: Any) -> tuple[str, str]:
    """A parameter as text and the type to read it back with. Raises `PackagingError` for what JSON cannot hold."""
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


def last_metrics(connection: sqlite3.Connection) -> dict[str, float]:
    """The value of each metric at its highest step; NaN where NaN was logged."""
    rows = connection.execute(_LAST).fetchall()
    values = {str(key): math.nan if value is None else value for key, value in rows}
    return {key: value for key, value in values.items() if isinstance(value, int | float)}


def logged_params(connection: sqlite3.Connection) -> dict[str, Any]:
    """The parameters that were logged, each of the type that it had; as text where that cannot be read back."""
    rows = connection.execute("SELECT key, value, value_type FROM static_params ORDER BY key").fetchall()
    return {str(key): _param(value, kind) for key, value, kind in rows}


def _param(text: Any, kind: str | None) -> Any:
    try:
        match kind:
            case "bool":
                return str(text).lower() in ("true", "1")
            case "int" | "float":
                number = int(text) if kind == "int" else float(text)
                return number if math.isfinite(number) else str(text)
            case "json":
                return json.loads(text)
    except (TypeError, ValueError, OverflowError):
        pass
    return None if text is None else str(text)


def last_values(archive: Archive, member: str) -> tuple[dict[str, float], dict[str, Any]]:
    """`last_metrics` and `logged_params` of the zipped database in `member` of an archive; nothing when it is no
    readable database.
    """
    with tempfile.TemporaryDirectory(prefix="luml_experiment_") as folder:
        packed, database = Path(folder) / "exp.db.zip", Path(folder) / "exp.db"
        packed.write_bytes(archive.read(member, limit=_MAX_PACKED))
        try:
            unzip_database(packed, database)
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
                return last_metrics(connection), logged_params(connection)
        except (zipfile.BadZipFile, sqlite3.Error, StopIteration, NotImplementedError, EOFError):
            return {}, {}


def unzip_database(packed: Path, database: Path) -> None:
    """Unpack the one file of the zip. Its declared size is not believed: the copy stops at the limit."""
    with zipfile.ZipFile(packed) as archive:
        member = next(info for info in archive.infolist() if not info.is_dir())
        if member.file_size > _MAX_UNPACKED:
            raise zipfile.BadZipFile(f"{member.filename} unpacks to {member.file_size} bytes")
        with archive.open(member) as source, database.open("wb") as target:
            shutil.copyfileobj(source, target)
