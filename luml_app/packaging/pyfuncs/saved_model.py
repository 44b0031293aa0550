"""The code inside a model file: turns a request into what the model takes, and what it gives into the answer.

This file is stored as it stands in every model that LUML writes, so it imports alone: fnnx, numpy, and pandas where
the model takes a DataFrame. How the model is loaded and asked is told by the module ``luml_reader``, stored beside it.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import pickle
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from fnnx.variants.pyfunc import PyFunc

# The reader of the model's flavour, under the name that it has in every model file.
READER = "luml_reader"
# What fnnx turns a missing value into when it makes an array of strings.
MISSING_TEXTS = frozenset({"None", "nan", "<NA>", "NaT"})


class SavedModel(PyFunc):  # type: ignore[misc]
    """A stored model, described by the value ``luml`` of the variant's configuration."""

    def warmup(self) -> None:
        """Load the model. Called once, while the model's own modules can be imported."""
        self._config: dict[str, Any] = self.fnnx_context.get_value("luml")
        # fnnx takes the folder off the import path after this call, but functions may import while they run.
        modules = str(Path(__file__).with_name("extra_modules"))
        if modules not in sys.path:
            sys.path.append(modules)
        self._template = self._read_template() if self._config["container"] in ("frame", "series") else None
        self._reader = importlib.import_module(READER)
        self._model = self._reader.load(self._file, self._config)

    def compute(self, inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        """Predict. `inputs` holds one entry per input of the manifest; raises `ValueError` for what is missing."""
        native = to_native(inputs, self._config["container"], self._config["inputs"], self._template)
        return outputs_of(self._reader.predict(self._model, native, self._config), self._config)

    async def compute_async(self, inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        """The same in a thread, so that the caller's event loop goes on."""
        return await asyncio.to_thread(self.compute, inputs, dynamic_attributes)

    def _file(self, name: str) -> Path:
        return Path(self.fnnx_context.get_filepath(name))

    def _read_template(self) -> Any:
        with self._file("template.pkl").open("rb") as stream:
            return pickle.load(stream)  # noqa: S301 - a model file is code; whoever runs it trusts it


def outputs_of(results: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What the model gave (by name) as outputs: arrays and JSON values; JSON only where the flavour says so."""
    if config.get("json"):
        return {name: _json(result) for name, result in results.items()}
    outputs: dict[str, Any] = {}
    for name, result in results.items():
        outputs |= to_wire(result, name)
    return outputs


def to_native(inputs: dict[str, Any], container: str, specs: list[dict[str, Any]], template: Any) -> Any:
    """What the model takes, from the inputs of a request.

    `specs` describes each input (``name``, ``kind``, ``missing``, ``literals``); `template` is an empty DataFrame that
    has the columns' labels and types. Raises `ValueError` for missing inputs and lengths that differ.
    """
    _refuse_missing(inputs, specs)
    if container in ("frame", "series"):
        frame = _frame(inputs, specs, template)
        return frame.iloc[:, 0] if container == "series" else frame
    values = {spec["name"]: _plain(inputs[spec["name"]], spec) for spec in specs}
    return values if container in ("dict", "json") else next(iter(values.values()))


def _refuse_missing(inputs: dict[str, Any], specs: list[dict[str, Any]]) -> None:
    missing = [spec["name"] for spec in specs if spec["name"] not in inputs]
    if missing:
        raise ValueError(f"missing inputs: {', '.join(missing)}")


def _frame(inputs: dict[str, Any], specs: list[dict[str, Any]], template: Any) -> Any:
    import pandas as pd

    lengths = {spec["name"]: _length(inputs[spec["name"]], spec["name"]) for spec in specs}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"inputs differ in length: {', '.join(f'{name} {n}' for name, n in lengths.items())}")
    columns = [
        _column(inputs[spec["name"]], spec, template.iloc[:, position].dtype) for position, spec in enumerate(specs)
    ]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    frame.columns = template.columns
    return frame


def _length(values: Any, name: str) -> int:
    shape = np.shape(values)
    if len(shape) != 1:
        raise ValueError(f"input {name} must be a list of values, one per row, not an array of shape {list(shape)}")
    return int(shape[0])


def _column(values: Any, spec: dict[str, Any], dtype: Any) -> Any:
    import pandas as pd

    kind = spec["kind"]
    if kind in ("datetime", "timedelta"):
        return _times(values, spec, dtype)
    if kind == "category":
        members: dict[str | None, Any] = {str(member): member for member in dtype.categories}
        found: list[Any] = [members.get(text) for text in _texts(values, spec)]
        return pd.Series(pd.Categorical(found, dtype=dtype))
    if kind == "string":
        return pd.Series(_with_missing(_texts(values, spec), spec), dtype=dtype)
    if pd.api.types.is_object_dtype(dtype):
        return pd.Series(_with_missing(_scalars(values, kind), spec), dtype=dtype)
    return pd.Series(values).astype(dtype)


def _times(values: Any, spec: dict[str, Any], dtype: Any) -> Any:
    """Times from ISO 8601 texts. A time without a zone counts as UTC, and a column without one takes UTC."""
    import pandas as pd

    texts = pd.Series(_texts(values, spec), dtype=object)
    try:
        if spec["kind"] == "timedelta":
            return pd.to_timedelta(texts).astype(dtype)
        parsed = pd.to_datetime(texts, format="ISO8601", utc=True)
    except (ValueError, TypeError) as error:
        what = "durations" if spec["kind"] == "timedelta" else "times"
        raise ValueError(f"input {spec['name']} must hold {what} as ISO 8601 texts") from error
    return (parsed if spec["utc"] else parsed.dt.tz_localize(None)).astype(dtype)


def _texts(values: Any, spec: dict[str, Any]) -> list[str | None]:
    """Strings, with None for what is missing: fnnx has made the text "None" of it, unless that is a value by itself."""
    marks = MISSING_TEXTS.difference(spec["literals"])
    return [None if text is None or text in marks else text for text in np.asarray(values, dtype=object).tolist()]


def _scalars(values: Any, kind: str) -> list[Any]:
    """Python numbers and booleans, with None for NaN."""
    make = {"int": int, "float": float, "bool": bool}[kind]
    return [None if value is None or math.isnan(value) else make(value) for value in np.asarray(values).tolist()]


def _with_missing(values: list[Any], spec: dict[str, Any]) -> list[Any]:
    """`values` with None replaced by the mark of a missing value that the sample used."""
    if spec["missing"] == "none":
        return values
    if spec["missing"] == "na":
        import pandas as pd

        return [pd.NA if value is None else value for value in values]
    return [math.nan if value is None else value for value in values]


def _plain(value: Any, spec: dict[str, Any]) -> Any:
    """An array, list or JSON value for a model that takes no DataFrame."""
    if spec["kind"] == "json":
        return value
    array = np.asarray(value)
    _refuse_other_shape(array, spec)
    if spec["kind"] == "string":
        texts = _with_missing(_texts(array.reshape(-1), spec), spec)
        array = _object_array(texts).reshape(array.shape)
    if spec["form"] == "list":
        return array.tolist()
    return array.astype(spec["dtype"])


def _refuse_other_shape(array: Any, spec: dict[str, Any]) -> None:
    shape = spec["shape"]
    if array.ndim == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
    ):
        return
    # No row has no columns: an empty list is an empty batch of any shape.
    if array.size == 0 and array.ndim == 1:
        return
    raise ValueError(f"input {spec['name']} must have the shape {shape}, not {list(array.shape)}")


def _object_array(values: list[Any]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def to_wire(result: Any, name: str) -> dict[str, Any]:
    """One result as outputs by name: arrays of float64, int64, bool or text, and JSON values.

    A DataFrame gives one output per column, a mapping one per key, anything else the one output `name`.
    """
    if hasattr(result, "columns") and hasattr(result, "iloc"):
        return {str(label): _output(result.iloc[:, position]) for position, label in enumerate(result.columns)}
    if isinstance(result, dict):
        return {str(key): _output(value) for key, value in result.items()}
    return {name: _output(result)}


def _output(value: Any) -> Any:
    if hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    if isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype.kind in "fiub":
        return value.astype({"f": "float64", "i": "int64", "u": "int64", "b": "bool"}[value.dtype.kind])
    if isinstance(value, np.ndarray) and value.dtype.kind == "M":
        value = np.datetime_as_string(value).astype(object)
        value[value == "NaT"] = None
    if hasattr(value, "dtype") or isinstance(value, list | tuple):
        return _array_or_json(value)
    return _json(value)


def _array_or_json(value: Any) -> Any:
    if np.ndim(value) == 0:
        return _json(value.item())
    items = _json(value.astype(object).tolist() if hasattr(value, "dtype") else list(value))
    flat = list(_flatten(items))
    kinds = {type(item) for item in flat if item is not None}
    array = _object_array_of(items)
    if array is None or len(kinds - {int, float}) > (0 if kinds & {int, float} else 1) or dict in kinds:
        return items
    if not kinds or kinds & {int, float}:
        exact = kinds == {int} and None not in flat
        return array.astype("int64" if exact else "float64")
    return array if None in flat else array.astype(kinds.pop())


def _object_array_of(items: list[Any]) -> Any:
    """`items` as an array of objects, None when it is ragged."""
    shape: list[int] = []
    level: Any = items
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    flat = list(_flatten(items))
    if len(flat) != math.prod(shape) or _depths(items) != {len(shape)}:
        return None
    return _object_array(flat).reshape(shape)


def _depths(items: Any) -> set[int]:
    if not isinstance(items, list):
        return {0}
    return {1 + depth for item in items for depth in _depths(item)} or {1}


def _flatten(items: Any) -> Any:
    if not isinstance(items, list):
        yield items
        return
    for item in items:
        yield from _flatten(item)


def _json(value: Any) -> Any:
    """`value` in the words of JSON: missing values are None, times ISO 8601 texts. NaN stays in mappings of floats."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    ):
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"a model may not answer with a {type(value).__name__}; make it numbers, texts or booleans")
