"""A tracker for one experiment: parameters, metrics over steps and attachments, kept in a local SQLite file.

Everything is on disk when a call returns, so a killed process loses nothing: open the same folder again and go on.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from luml_app.packaging import metadata
from luml_app.packaging.archive import replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.experiment_archive import (
    ATTACHMENTS,
    experiment_manifest,
    pack_experiment,
    store_attachment,
)
from luml_app.packaging.metrics_database import as_param, open_database

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
        (self.path / ATTACHMENTS).mkdir(parents=True, exist_ok=True)
        self.id, self.group, self.tags = self._identity({"id": new_id, "group": group, "tags": tags or []})
        self._lock = threading.RLock()
        self._database = open_database(self.path / "exp.db")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep parameters by name; a later value takes the place of an earlier one."""
        rows = [(str(key), *as_param(str(key), value)) for key, value in params.items()]
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
        size = store_attachment(self.path, name, content if isinstance(content, bytes) else Path(content))
        with self._lock, self._database:
            self._database.execute("DELETE FROM attachments WHERE name = ?", (name,))
            self._database.execute(
                "INSERT INTO attachments (name, file_path, size) VALUES (?, ?, ?)", (name, name, size)
            )

    def save(self, path: str | Path, *, description: str | None = None) -> SavedArtifact:
        """Pack the experiment as it is now into one file. It may be continued, and saved again, afterwards."""
        facts = {"local_experiment_id": self.id, "status": "completed", "group": self.group, "tags": self.tags}
        with self._lock:
            return pack_experiment(
                self._database, self.path, path, experiment_manifest(self.name, description, **facts)
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
