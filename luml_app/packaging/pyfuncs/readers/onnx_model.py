"""Graphs of ONNX, run by ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "int64": "int64", "int32": "int32",
    "int16": "int16", "int8": "int8", "uint64": "uint64", "uint32": "uint32", "uint16": "uint16", "uint8": "uint8",
    "bool": "bool", "string": "object",
}  # fmt: skip


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """A session of the graph."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(file("model.onnx")), providers=["CPUExecutionProvider"])


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The graph's outputs by their names."""
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, _feeds(model, native)), strict=True))


def _feeds(model: Any, native: Any) -> dict[str, Any]:
    """The graph's inputs. Raises `ValueError` when the rows do not name them."""
    inputs = model.get_inputs()
    if len(inputs) == 1 and not isinstance(native, dict):
        return {inputs[0].name: _array(native, inputs[0])}
    given = {str(name): native[name] for name in native}
    missing = [one.name for one in inputs if one.name not in given]
    if missing:
        raise ValueError(f"the graph has the inputs {', '.join(one.name for one in inputs)}; missing: {missing}")
    return {one.name: _array(given[one.name], one) for one in inputs}


def _array(values: Any, one: Any) -> Any:
    """`values` in the type of an input; a column of a table becomes a matrix of one column where one is wanted."""
    element = one.type.removeprefix("tensor(").removesuffix(")")
    array = np.asarray(values).astype(_TYPES[element])
    return array.reshape(-1, 1) if array.ndim == 1 and len(one.shape) == 2 else array
