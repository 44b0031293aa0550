"""Several calls made one, and its outputs taken apart again, where the manifest says that rows stand for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .exchange import Call, Inputs, Outputs

# Bytes of a text in an array, of which each of the others would take as many.
LONGEST_TEXT = 16 * 1024


class NotSplittable(Exception):  # noqa: N818
    """The outputs of a merged call do not have one row per row of its inputs."""


def batch_dimension(manifest: dict[str, Any]) -> str | None:
    """The named first dimension that all inputs and all outputs share, or None where there is none.

    Only arrays count: what a JSON value or a container means as a whole, nobody knows. A name that also stands at
    another place, as in a matrix of every row against every other, is not a batch.
    """
    specs = [*manifest["inputs"], *manifest["outputs"]]
    firsts = {first_dimension(spec) for spec in specs}
    name = firsts.pop() if len(firsts) == 1 else None
    again = any(name in spec["shape"][1:] for spec in specs) if name else False
    return None if again else name


def first_dimension(spec: dict[str, Any]) -> str | None:
    """The name of an array's first dimension, if it has one."""
    shape = spec.get("shape") or [None]
    is_array = spec["content_type"] == "NDJSON" and spec["dtype"].startswith("Array[")
    return shape[0] if is_array and isinstance(shape[0], str) else None


def rows_of(inputs: Inputs) -> int:
    """Rows of the inputs of a call of which all are arrays of one length."""
    return len(next(iter(inputs.values()))) if inputs else 0


def may_join(first: Call, other: Call) -> bool:
    """Whether two calls may be one: the same attributes, and rows of the same shape and type.

    Texts may differ in length: numpy gives the joined array the longer type, which is why long ones stay alone.
    """
    return first.attributes == other.attributes and all(
        array.shape[1:] == other.inputs[name].shape[1:]
        and array.dtype.kind == other.inputs[name].dtype.kind
        and (array.dtype.kind != "U" or max(array.itemsize, other.inputs[name].itemsize) <= LONGEST_TEXT)
        for name, array in first.inputs.items()
    )


def join(calls: Sequence[Call]) -> Inputs:
    """The rows of all calls, one after the other."""
    return {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}


def split(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """The outputs of each call; `rows` says how many rows each of them had. Raises NotSplittable."""
    total = sum(rows)
    for name, value in outputs.items():
        if not isinstance(value, np.ndarray) or not value.ndim or len(value) != total:
            raise NotSplittable(f"`{name}` does not have one row for each of {total} rows")
    ends = np.cumsum(rows).tolist()
    return [
        {name: value[end - length : end] for name, value in outputs.items()}
        for end, length in zip(ends, rows, strict=True)
    ]
