"""Rows and columns as the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .inputs import InvalidInput
from .model import LoadedModel

Columns = Mapping[str, Any]


def inputs_of_columns(model: LoadedModel, columns: Columns) -> dict[str, Any]:
    """Columns by name (lists or arrays of one length) as inputs by name; what fits none is left for the check.

    A model with one two-dimensional input takes all columns in their order as its rows, unless a column has its name.
    """
    specs = {spec["name"]: spec for spec in model.manifest["inputs"]}
    if (name := matrix_input(model)) and name not in columns:
        return {name: stacked(name, columns)}
    return {name: fitted(model, specs[name], column) if name in specs else column for name, column in columns.items()}


def inputs_of_rows(model: LoadedModel, names: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    """The same for rows."""
    if (name := matrix_input(model)) and name not in names:
        return {name: rows}
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return inputs_of_columns(model, {name: list(column) for name, column in zip(names, columns, strict=True)})


def matrix_input(model: LoadedModel) -> str | None:
    """The name of the model's only input, if that is an array of rows."""
    specs = model.manifest["inputs"]
    if len(specs) == 1 and specs[0]["dtype"].startswith("Array[") and len(specs[0].get("shape") or ()) == 2:
        return str(specs[0]["name"])
    return None


def stacked(name: str, columns: Columns) -> Any:
    """Columns side by side, as rows."""
    if all(isinstance(column, np.ndarray) and column.dtype.kind in "fiub" for column in columns.values()):
        return np.column_stack(list(columns.values())) if columns else []
    if any(isinstance(column, np.ndarray) and column.ndim > 1 for column in columns.values()):
        raise InvalidInput(["inputs", name], f"`{name}` is made of all columns, so none may hold lists")
    return [list(row) for row in zip(*columns.values(), strict=True)]


def fitted(model: LoadedModel, spec: dict[str, Any], column: Any) -> Any:
    """A column as one input: a column is also an array with rows of one element, and one cell is a whole JSON value."""
    if spec["content_type"] != "NDJSON":
        column = column.tolist() if isinstance(column, np.ndarray) else column
        if model.dtypes.get(spec["dtype"], {}).get("type") == "array":
            return column
        if len(column) != 1:
            raise InvalidInput(["inputs", spec["name"]], f"`{spec['name']}` is one value; send exactly one row")
        return column[0]
    if len(spec["shape"]) == 2 and not deep(column):
        return column.reshape(-1, 1) if isinstance(column, np.ndarray) else [[cell] for cell in column]
    return column


def deep(column: Any) -> bool:
    """Whether the cells are lists."""
    return column.ndim > 1 if isinstance(column, np.ndarray) else any(isinstance(cell, list) for cell in column)


def columns_of(outputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Outputs as columns of one length (arrays or lists); None where they are no such thing."""
    columns = {name: rows_of(value) for name, value in outputs.items()}
    lengths = {None if column is None else len(column) for column in columns.values()}
    return columns if len(lengths) == 1 and None not in lengths else None


def rows_of(value: Any) -> Any:
    """An output as something with rows."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif hasattr(value, "dtypes_manager"):
        value = value.data
    if isinstance(value, np.ndarray):
        return value if value.ndim else None
    return value if isinstance(value, list) else None
