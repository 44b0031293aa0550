"""What a stored run has recorded, read out of its file in the bucket without fetching all of it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from luml_app.client.transfers import read_member
from luml_app.schemas.errors import Conflict

if TYPE_CHECKING:
    from luml_app.client.objects import ArtifactHandle

Answer = TypeVar("Answer")
Curve = tuple[list[int], list[float]]
_DATABASE = "exp.db.zip"
_PIECE = 16 * 2**20


class Recordings:
    """What the file of an experiment holds; a part of `ArtifactHandle`."""

    def curves(self) -> dict[str, Curve]:
        """Steps and values of each metric, thinned out to the extremes of 500 spans of steps, without a lost peak.

        One small range of the file is read, however long the run was; of files that have no curves in them, their
        database. Raises Conflict for what is no experiment.
        """
        from luml_app.packaging.archive import parse_json
        from luml_app.packaging.metadata import as_number
        from luml_app.packaging.metric_curves import CURVES, all_curves

        artifact = _experiment(self)
        if CURVES in artifact.data.file_index:
            found = parse_json(read_member(artifact, CURVES), CURVES)["metrics"]
        else:
            found = _asked(artifact, all_curves)["metrics"]
        return {name: (one["steps"], [as_number(value) for value in one["values"]]) for name, one in found.items()}

    def curve(self, metric: str, *, buckets: int = 500, first: int | None = None, last: int | None = None) -> Curve:
        """Steps and values of one metric between two steps, thinned out to the extremes of so many `buckets`.

        The run's database is read for it. Raises Conflict for what is no experiment.
        """
        from luml_app.packaging.metric_curves import curve

        return _asked(
            _experiment(self), lambda database: curve(database, metric, buckets=buckets, first=first, last=last)
        )

    def attachment(self, name: str) -> bytes:
        """The bytes of an attachment. Raises Conflict for what is no experiment, and for a name that is not there."""
        from luml_app.packaging.archive import parse_json

        artifact = _experiment(self)
        known = "attachments.index.json"
        index = parse_json(read_member(artifact, known), known) if known in artifact.data.file_index else {}
        if name not in index:
            names = ", ".join(repr(one) for one in sorted(index)[:10]) or "none"
            raise Conflict(f"The run has no attachment {name!r}. It has: {names}.")
        offset, size = index[name]
        _, room = artifact.data.file_index["attachments.tar"]
        if not 0 <= offset <= offset + size <= room:
            raise Conflict(f"The place of the attachment {name!r} is outside of its archive.")
        return read_member(artifact, "attachments.tar", offset, size)


def _experiment(part: Recordings) -> ArtifactHandle:
    artifact = cast("ArtifactHandle", part)
    if artifact.data.type != "experiment":
        raise Conflict(f"{artifact.data.name!r} is a {artifact.data.type}; only experiments have recorded something.")
    return artifact


def _asked(artifact: ArtifactHandle, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
    """What a question to the run's database gives. It is fetched in pieces, and forgotten after that."""
    from luml_app.packaging.metrics_database import unzip_database

    if _DATABASE not in artifact.data.file_index:
        raise Conflict(f"The file of {artifact.data.name!r} has no {_DATABASE}, in which metrics are kept.")
    _, size = artifact.data.file_index[_DATABASE]
    with tempfile.TemporaryDirectory(prefix="luml-") as scratch:
        packed, database = Path(scratch) / _DATABASE, Path(scratch) / "exp.db"
        with packed.open("wb") as file:
            for start in range(0, size, _PIECE):
                file.write(read_member(artifact, _DATABASE, start, min(_PIECE, size - start)))
        unzip_database(packed, database)
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return question(connection)
