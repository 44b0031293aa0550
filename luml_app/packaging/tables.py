"""Tables of any library, as pieces of Arrow tables: pandas, Polars, Arrow, files and folders, Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luml_app.packaging.errors import MissingPackageError, PackagingError

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "ipc"}


class Pieces:
    """One split: the types of its columns, and its rows as Arrow tables of at most `rows` rows, one after the other."""

    def __init__(self, split: str, data: Any, rows: int) -> None:
        self.split = split
        self._rows = rows
        self.types, self._source = _opened(split, data)
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise PackagingError(f"Split {split!r} has several columns named {repeated[0]!r}; names must be unique.")

    @property
    def names(self) -> list[str]:
        """The columns, in order."""
        return [name for name, _ in self.types]

    def __iter__(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        try:
            yield from _regrouped(self._source, self._rows)
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise _cannot_be_stored(self.split, error) from error


def splits_of(data: Any) -> dict[str, Any]:
    """Splits by name: those of a mapping, the folders in a folder, or all of it as ``train``.

    Raises `PackagingError` when there are none, or names that no file may have.
    """
    if find_spec("pyarrow") is None:
        raise MissingPackageError("Storing datasets needs pyarrow: pip install pyarrow.")
    splits = dict(data) if isinstance(data, Mapping) else _of_a_folder(data) or {"train": data}
    if not splits:
        raise PackagingError("The dataset has no splits; give at least one, such as {'train': frame}.")
    for split in splits:
        if not isinstance(split, str) or not split.replace("_", "").replace("-", "").isalnum():
            raise PackagingError(f"The split name {split!r} may only have letters, digits, '-' and '_'.")
    return splits


def _of_a_folder(data: Any) -> dict[str, Any]:
    if not isinstance(data, str | Path) or not Path(data).is_dir():
        return {}
    return {one.name: one for one in sorted(Path(data).iterdir()) if one.is_dir() and not one.name.startswith(".")}


def _opened(split: str, data: Any) -> tuple[list[tuple[str, str]], Any]:
    """Names and types of the columns, and an Arrow table or an iterator of record batches."""
    import pyarrow as pa

    if isinstance(data, str | Path):
        return _files(split, Path(data))
    if hasattr(data, "to_parquet") and hasattr(data, "index"):
        return _pandas(split, data)
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):
        data = data.collect()
    if hasattr(data, "with_format") and hasattr(data, "features"):
        return _hugging_face(data)
    try:
        # Polars and whatever else speaks the Arrow PyCapsule interface.
        table = data if isinstance(data, pa.Table) else pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise PackagingError(
            f"Split {split!r} is a {type(data).__name__}; it must be a table of pandas, Polars, Arrow or Hugging Face, "
            "or a file or folder of Parquet or CSV."
        ) from error
    return _types(table.schema), table


def _pandas(split: str, frame: Any) -> tuple[list[tuple[str, str]], Any]:
    import pyarrow as pa

    named = frame.reset_index() if any(level is not None for level in frame.index.names) else frame
    named = named.set_axis([str(label) for label in named.columns], axis=1)
    types = [(name, str(kind)) for name, kind in zip(named.columns, named.dtypes, strict=True)]
    if len({name for name, _ in types}) < len(types):
        return types, []
    try:
        return types, pa.Table.from_pandas(named, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _cannot_be_stored(split, error) from error


def _hugging_face(data: Any) -> tuple[list[tuple[str, str]], Any]:
    arrow = data.with_format("arrow")
    step = 10_000
    batches = (batch for start in range(0, len(arrow), step) for batch in arrow[start : start + step].to_batches())
    schema = data.features.arrow_schema
    return _types(schema), (batches if len(arrow) else schema.empty_table())


def _files(split: str, path: Path) -> tuple[list[tuple[str, str]], Any]:
    """All files of a folder, or one, read piece by piece. Their types must agree, or go together without loss."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix.lower() in _FORMATS)
    kinds = {one.suffix.lower() for one in files}
    if len(kinds) != 1 or not kinds <= set(_FORMATS):
        what = "holds files of several formats" if kinds else "holds no Parquet or CSV files"
        raise PackagingError(
            f"Split {split!r}: {path} {what}; give a folder, or a file, of one of Parquet, CSV and Arrow."
        )
    try:
        form = _FORMATS[kinds.pop()]
        parts = [ds.dataset(str(one), format=form) for one in files]
        schema = pa.unify_schemas([part.schema for part in parts], promote_options="permissive")
        found = ds.dataset([str(one) for one in files], format=form, schema=schema)
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise PackagingError(f"Split {split!r}: {path} cannot be read: {error}") from error
    return _types(schema), found.to_batches() if found.count_rows() else schema.empty_table()


def _types(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]


def _regrouped(source: Any, rows: int) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows but for the last; a table without rows stays one."""
    import pyarrow as pa

    if isinstance(source, pa.Table):
        yield from (source.slice(start, rows) for start in range(0, max(source.num_rows, 1), rows))
        return
    waiting: list[Any] = []
    count = 0
    for batch in source:
        waiting.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows)
            waiting, count = table.slice(rows).to_batches(), count - rows
    if count:
        yield pa.Table.from_batches(waiting)


def _cannot_be_stored(split: str, error: Exception) -> PackagingError:
    return PackagingError(
        f"Split {split!r} cannot be stored as Parquet: {error}. Give every column one type of values."
    )
