"""Rows of a dataset, read member by member, from a file or from afar."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from luml_app.packaging.errors import MissingPackageError, PackagingError

if TYPE_CHECKING:
    import pyarrow as pa


def split_members(
    manifest: dict[str, Any], members: Iterable[str], split: str | None = None, subset: str | None = None
) -> list[str]:
    """The members that hold a split, in order; without a name, of the only split, or subset, that there is.

    Reads the manifests of tabular datasets and of trees that Hugging Face has saved. Raises `PackagingError`, which
    lists what there is, and when the manifest names members that are not there.
    """
    payload = manifest.get("payload")
    subsets = payload.get("subsets") if isinstance(payload, dict) else None
    if not isinstance(subsets, dict) or not isinstance(payload, dict):
        raise PackagingError("The manifest of the dataset does not say which subsets and splits it has.")
    which = chosen(subsets, subset, "subset")
    inside = subsets[which]
    splits = inside.get("splits") if isinstance(inside, dict) else dict.fromkeys(inside)
    if not isinstance(splits, dict):
        raise PackagingError(f"The manifest of the dataset does not say which splits the subset {which!r} has.")
    wanted = chosen(splits, split, "split")
    known = set(members)
    if isinstance(splits[wanted], dict):
        found = [str(name) for name in splits[wanted].get("chunk_files") or []]
    else:
        found = _of_hugging_face(known, str(payload.get("data_dir") or ""), which, wanted, len(subsets) > 1)
    if missing := [name for name in found if name not in known]:
        raise PackagingError(f"The manifest of the dataset names {missing[0]!r}, which the archive does not have.")
    return found


def read_table(members: Sequence[str], read: Callable[[str], bytes], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of these members as one Arrow table, all columns or some. `read` gives the bytes of a member.

    Raises `PackagingError` for a column that is not there and for bytes that are no table.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingPackageError("Reading datasets needs pyarrow: pip install pyarrow.") from error
    tables = []
    for name in members:
        try:
            tables.append(_table(name, read(name), columns))
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise PackagingError(f"Member {name!r} cannot be read: {error}.") from error
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _table(name: str, content: bytes, columns: Sequence[str] | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    ending = PurePosixPath(name).suffix.lower()
    if ending == ".parquet":
        # What is asked for is checked here: Parquet passes over columns that it does not have.
        file = pq.ParquetFile(io.BytesIO(content))
        return file.read(columns=_checked(columns, file.schema_arrow.names))
    table = pa.ipc.open_stream(content).read_all() if ending == ".arrow" else csv.read_csv(io.BytesIO(content))
    return table if columns is None else table.select(_checked(columns, table.column_names))


def _checked(columns: Sequence[str] | None, known: Sequence[str]) -> list[str] | None:
    if columns is None:
        return None
    if unknown := [name for name in columns if name not in known]:
        shown = ", ".join(repr(name) for name in known[:10]) + (" …" if len(known) > 10 else "")
        raise PackagingError(f"The dataset has no column {unknown[0]!r}. It has: {shown}.")
    return list(columns)


def _of_hugging_face(members: set[str], folder: str, subset: str, split: str, several: bool) -> list[str]:
    """The Arrow files of a tree of `save_to_disk`, which has a folder per split, and one above it per configuration."""

    def fits(path: PurePosixPath) -> bool:
        above = path.parts[:-1]
        return path.suffix == ".arrow" and split in above and (not several or subset in above)

    start = folder.strip("./")
    return sorted(name for name in members if name.startswith(start) and fits(PurePosixPath(name)))


def chosen(known: dict[str, Any], wanted: str | None, what: str) -> str:
    """The name that is wanted, or the only one there is. Raises `PackagingError`, which lists them."""
    if wanted is None and len(known) == 1:
        return next(iter(known))
    if wanted is not None and wanted in known:
        return wanted
    names = ", ".join(repr(name) for name in known) or "none"
    if wanted is None:
        raise PackagingError(f"Say which {what} of the dataset; there are: {names}.")
    raise PackagingError(f"The dataset has no {what} {wanted!r}. There are: {names}.")
