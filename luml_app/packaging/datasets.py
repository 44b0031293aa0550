"""Tabular datasets become one ``.tar`` with Parquet chunks, true counts and a schema."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.errors import MissingPackageError, PackagingError

if TYPE_CHECKING:
    import pandas as pd

_SUBSET = "default"
_FORMAT = "parquet"


def save_dataset(
    data: pd.DataFrame | Mapping[str, pd.DataFrame],
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
    """Store a DataFrame, or one per split (``{"train": …, "test": …}``), as a dataset.

    A lone DataFrame becomes the split ``train``. Chunks hold at most `chunk_rows` rows; an empty split has one chunk
    without rows, so that its columns survive. The index is stored only where it has a name. `units` and
    `descriptions` say more about columns; `metrics` are numbers to sort and filter by.
    Raises `PackagingError` when something cannot be stored, and leaves nothing at `path` then.
    """
    _require_pyarrow()
    if chunk_rows < 1:
        raise PackagingError(f"chunk_rows is {chunk_rows}; it must be at least 1.")
    path = Path(path)
    numbers = metadata.checked_metrics(metrics)
    splits = {split: _checked_frame(split, frame) for split, frame in _splits(data).items()}
    manifest = _manifest(splits, chunk_rows, {"name": name, "description": description, "version": version})
    manifest["payload"]["schema"] = _schema(splits, units or {}, descriptions or {})
    manifest["payload"]["metrics"] = numbers
    with replacing(path) as temporary:
        writer = _write(temporary, manifest, splits, chunk_rows)
    return SavedArtifact(
        path=path,
        manifest=manifest,
        file_index=writer.index,
        file_hash=writer.digest,
        size=writer.size,
        type="dataset",
        extra_values=numbers,
    )


def _require_pyarrow() -> None:
    if find_spec("pyarrow") is None or find_spec("pandas") is None:
        raise MissingPackageError("Storing datasets needs pandas and pyarrow: pip install pandas pyarrow.")


def _splits(data: Any) -> dict[str, Any]:
    splits = dict(data) if isinstance(data, Mapping) else {"train": data}
    if not splits:
        raise PackagingError("The dataset has no splits; give at least one, such as {'train': frame}.")
    for split in splits:
        if not isinstance(split, str) or not split.replace("_", "").replace("-", "").isalnum():
            raise PackagingError(f"The split name {split!r} may only have letters, digits, '-' and '_'.")
    return splits


def _checked_frame(split: str, frame: Any) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise PackagingError(f"Split {split!r} is a {type(frame).__name__}; it must be a pandas DataFrame.")
    named = frame.reset_index() if any(level is not None for level in frame.index.names) else frame
    labels = [str(label) for label in named.columns]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise PackagingError(f"Split {split!r} has several columns named {repeated[0]!r}; names must be unique.")
    return named.set_axis(labels, axis=1)


def _manifest(splits: dict[str, pd.DataFrame], chunk_rows: int, labels: dict[str, str | None]) -> dict[str, Any]:
    return {
        "artifact_type": "dataset",
        "variant": "tabular",
        **labels,
        "producer_name": metadata.PRODUCER,
        "producer_version": metadata.producer_version(),
        "producer_tags": [],
        "payload": {
            "subsets": {
                _SUBSET: {"splits": {split: _describe(split, frame, chunk_rows) for split, frame in splits.items()}}
            },
            "total_rows": sum(len(frame) for frame in splits.values()),
            "file_format": _FORMAT,
        },
    }


def _describe(split: str, frame: pd.DataFrame, chunk_rows: int) -> dict[str, Any]:
    rows = [min(chunk_rows, len(frame) - start) for start in _starts(frame, chunk_rows)]
    return {
        "file_format": _FORMAT,
        "num_rows": len(frame),
        "num_chunks": len(rows),
        "chunk_files": [_chunk_name(split, number) for number in range(len(rows))],
        "chunk_rows": rows,
    }


def _starts(frame: pd.DataFrame, chunk_rows: int) -> range:
    return range(0, max(len(frame), 1), chunk_rows)


def _chunk_name(split: str, number: int) -> str:
    return f"data/{_SUBSET}/{split}/chunk_{number:03d}.{_FORMAT}"


def _schema(
    splits: dict[str, pd.DataFrame], units: Mapping[str, str], descriptions: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every column of any split, with the type of the first split that has it."""
    columns = list(dict.fromkeys(column for frame in splits.values() for column in frame.columns))
    unknown = sorted({*units, *descriptions}.difference(columns))
    if unknown:
        raise PackagingError(f"units or descriptions name the column {unknown[0]!r}, which the data does not have.")
    return [
        _describe_column(column, [frame[column] for frame in splits.values() if column in frame.columns])
        | {"unit": units.get(column), "description": descriptions.get(column)}
        for column in columns
    ]


def _describe_column(column: str, values: list[pd.Series[Any]]) -> dict[str, Any]:
    nullable = any(bool(part.isna().any()) for part in values)
    return {"column": column, "type": str(values[0].dtype), "nullable": nullable}


def _write(path: Path, manifest: dict[str, Any], splits: dict[str, pd.DataFrame], chunk_rows: int) -> ArchiveWriter:
    with (
        tempfile.TemporaryDirectory(prefix="luml_dataset_") as folder,
        path.open("wb") as stream,
        ArchiveWriter(stream) as writer,
    ):
        writer.add("manifest.json", metadata.as_document(manifest))
        for split, frame in splits.items():
            for number, start in enumerate(_starts(frame, chunk_rows)):
                chunk = Path(folder) / "chunk"
                _write_chunk(split, frame.iloc[start : start + chunk_rows], chunk)
                writer.add(_chunk_name(split, number), chunk)
    return writer


def _write_chunk(split: str, frame: pd.DataFrame, target: Path) -> None:
    import pyarrow as pa

    try:
        frame.to_parquet(target, engine="pyarrow", index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise PackagingError(
            f"Split {split!r} cannot be stored as Parquet: {error}. Give every column one type of values."
        ) from error
