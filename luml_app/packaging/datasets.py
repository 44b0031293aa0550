"""Tabular datasets become one ``.tar`` with Parquet chunks, true counts, a schema and statistics of each column."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.column_statistics import STATISTICS, ColumnStatistics
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.tables import Pieces, splits_of

_SUBSET = "default"
_FORMAT = "parquet"


class _Written(msgspec.Struct):
    """One split, written into files: the rows of each, and what its columns look like."""

    types: list[tuple[str, str]]
    rows: list[int] = []
    statistics: dict[str, ColumnStatistics] = {}


def save_dataset(
    data: Any,
    path: str | Path,
    *,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    units: Mapping[str, str] | None = None,
    descriptions: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    chunk_rows: int = 100_000,
) -> SavedArtifact:
    """Store a table, or one per split (``{"train": …, "test": …}``), as a dataset.

    A table is a DataFrame of pandas or Polars, a table of Arrow, a dataset of Hugging Face (or a dict of them), or a
    file or folder of Parquet, CSV or Arrow, which is read piece by piece; the folders in a folder are splits. A lone
    table becomes the split ``train``. Chunks hold at most `chunk_rows` rows; an empty split has one chunk without rows,
    so that its columns survive. The index of pandas is stored only where it has a name. `units` and `descriptions` say
    more about columns; `metrics` are numbers to sort and filter by.
    Raises `PackagingError` when something cannot be stored, and leaves nothing at `path` then.
    """
    if chunk_rows < 1:
        raise PackagingError(f"chunk_rows is {chunk_rows}; it must be at least 1.")
    numbers = metadata.checked_metrics(metrics)
    splits = {split: Pieces(split, table, chunk_rows) for split, table in splits_of(data).items()}
    _check_columns(splits, {*(units or {}), *(descriptions or {})})
    with tempfile.TemporaryDirectory(prefix="luml_dataset_") as folder, replacing(path := Path(path)) as temporary:
        written = {split: _write_chunks(pieces, Path(folder)) for split, pieces in splits.items()}
        manifest = _manifest(written, {"name": name, "description": description, "version": version})
        manifest["payload"]["schema"] = _schema(written, units or {}, descriptions or {})
        manifest["payload"]["metrics"] = numbers
        writer = _pack(temporary, manifest, written, Path(folder))
    return SavedArtifact(
        path=path,
        manifest=manifest,
        file_index=writer.index,
        file_hash=writer.digest,
        size=writer.size,
        type="dataset",
        extra_values=numbers,
    )


def _check_columns(splits: dict[str, Pieces], described: set[str]) -> None:
    unknown = sorted(described.difference(*(pieces.names for pieces in splits.values())))
    if unknown:
        raise PackagingError(f"units or descriptions name the column {unknown[0]!r}, which the data does not have.")


def _write_chunks(pieces: Pieces, folder: Path) -> _Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = _Written(pieces.types, [], {name: ColumnStatistics() for name in pieces.names})
    for table in pieces:
        target = folder / _chunk_name(pieces.split, len(written.rows))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, target)
        except pa.ArrowException as error:
            raise PackagingError(f"Split {pieces.split!r} cannot be stored as Parquet: {error}.") from error
        for name, statistics in written.statistics.items():
            statistics.add(table.column(name))
        written.rows.append(table.num_rows)
    return written


def _manifest(written: dict[str, _Written], labels: dict[str, str | None]) -> dict[str, Any]:
    return {
        "artifact_type": "dataset",
        "variant": "tabular",
        **labels,
        "producer_name": metadata.PRODUCER,
        "producer_version": metadata.producer_version(),
        "producer_tags": [],
        "payload": {
            "subsets": {_SUBSET: {"splits": {split: _describe(split, one.rows) for split, one in written.items()}}},
            "total_rows": sum(sum(one.rows) for one in written.values()),
            "file_format": _FORMAT,
        },
    }


def _describe(split: str, rows: list[int]) -> dict[str, Any]:
    return {
        "file_format": _FORMAT,
        "num_rows": sum(rows),
        "num_chunks": len(rows),
        "chunk_files": [_chunk_name(split, number) for number in range(len(rows))],
        "chunk_rows": rows,
    }


def _chunk_name(split: str, number: int) -> str:
    return f"data/{_SUBSET}/{split}/chunk_{number:03d}.{_FORMAT}"


def _schema(
    written: dict[str, _Written], units: Mapping[str, str], descriptions: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every column of any split, with the type of the first split that has it."""
    types: dict[str, str] = {}
    for one in written.values():
        types = dict(one.types) | types
    order = dict.fromkeys(name for one in written.values() for name, _ in one.types)
    return [
        {
            "column": name,
            "type": types[name],
            "nullable": any(one.statistics[name].missing for one in written.values() if name in one.statistics),
            "unit": units.get(name),
            "description": descriptions.get(name),
        }
        for name in order
    ]


def _pack(target: Path, manifest: dict[str, Any], written: dict[str, _Written], folder: Path) -> ArchiveWriter:
    found = {split: {name: one.document() for name, one in w.statistics.items()} for split, w in written.items()}
    with target.open("wb") as stream, ArchiveWriter(stream) as writer:
        writer.add("manifest.json", metadata.as_document(manifest))
        writer.add(STATISTICS, metadata.as_document({"schema_version": 1, "splits": found}, indent=None))
        for split, one in written.items():
            for number in range(len(one.rows)):
                writer.add(_chunk_name(split, number), folder / _chunk_name(split, number))
    return writer
