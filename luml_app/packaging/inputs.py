"""What a model takes, found out from a sample of it: typed inputs for the manifest and requests in their shape.

A DataFrame gives one input per column, an array or list the one input ``x``, a mapping one input per key.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from luml_app.packaging.errors import SampleError

if TYPE_CHECKING:
    import pandas as pd

_NULLABLE_STRINGS = "ext::nullable_strings"
# What fnnx makes of a missing value in an array of strings; see `pyfuncs/saved_model.py`.
_MISSING_TEXTS = frozenset({"None", "nan", "<NA>", "NaT"})
_INFERRED_KINDS = {
    "string": "string",
    "boolean": "bool",
    "integer": "int",
    "floating": "float",
    "mixed-integer-float": "float",
    "empty": "float",
}
_WIRE = {"float": "float64", "int": "int64", "bool": "bool"}


class Inputs(msgspec.Struct, frozen=True):
    """The inputs of a model: `container` that it takes, `specs` to rebuild that, `manifest` entries, `dtypes` they use.

    `template` is an empty DataFrame with the columns' labels and types where the container is a frame or series.
    """

    container: str
    specs: list[dict[str, Any]]
    manifest: list[dict[str, Any]]
    dtypes: dict[str, Any]
    template: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """The container, and the inputs' names in order."""
        return self.container, *(entry["name"] for entry in self.manifest)


def plain_sample(sample: Any) -> Any:
    """A sample of tensors as one of NumPy arrays; anything else as it is."""
    if isinstance(sample, dict):
        return {name: plain_sample(value) for name, value in sample.items()}
    is_tensor = type(sample).__name__ in ("Tensor", "Parameter") and type(sample).__module__.startswith("torch")
    return sample.detach().cpu().numpy() if is_tensor else sample


def first_rows(sample: Any, rows: int) -> Any:
    """The first rows of a sample, in its own container. A mapping is cut where its values are arrays or lists."""
    if isinstance(sample, dict):
        return {name: value[:rows] if _is_array_like(value) else value for name, value in sample.items()}
    return sample.iloc[:rows] if hasattr(sample, "iloc") else sample[:rows]


def describe(sample: Any) -> Inputs:
    """Find out the inputs from a sample. Raises `SampleError` for what a request cannot carry, and says what to do."""
    container = container_of(sample)
    if container in ("frame", "series"):
        return _describe_frame(sample.to_frame() if container == "series" else sample, container)
    values = sample if container == "dict" else {"x": sample}
    if not values:
        raise SampleError("The sample is an empty mapping; give one entry per input of the model.")
    described = [_describe_value(_input_name(name), value) for name, value in values.items()]
    return Inputs(container, [spec for spec, _ in described], [entry for _, entry in described], _dtypes(described))


def describe_json(sample: Any) -> Inputs:
    """The inputs of a model that takes a mapping of JSON values, none of which has rows. Raises `SampleError`."""
    if not isinstance(sample, dict) or not sample:
        raise SampleError(f"The sample of this model is a mapping of what it takes, not a {type(sample).__name__}.")
    described = [_describe_json(_input_name(name), value) for name, value in sample.items()]
    return Inputs("json", [spec for spec, _ in described], [entry for _, entry in described], _dtypes(described))


def request(sample: Any, inputs: Inputs) -> dict[str, Any]:
    """The sample as the ``inputs`` of a compute request, in values that JSON knows."""
    if inputs.container == "json":
        return dict(sample)
    if inputs.container in ("frame", "series"):
        frame = sample.to_frame() if inputs.container == "series" else sample
        return {
            spec["name"]: _wire_column(frame.iloc[:, position], spec["kind"])
            for position, spec in enumerate(inputs.specs)
        }
    values = list(sample.values()) if inputs.container == "dict" else [sample]
    return {spec["name"]: _wire_value(value) for spec, value in zip(inputs.specs, values, strict=True)}


def container_of(sample: Any) -> str:
    """``frame``, ``series``, ``array``, ``list`` or ``dict``. Raises `SampleError` for anything else."""
    kind = {"DataFrame": "frame", "Series": "series", "ndarray": "array", "list": "list", "dict": "dict"}
    name = type(sample).__name__
    if name not in kind or (name in ("DataFrame", "Series") and not type(sample).__module__.startswith("pandas")):
        raise SampleError(
            f"The sample is a {type(sample).__module__}.{name}; pass a pandas DataFrame or Series, a numpy array, "
            "a list or a dict of these."
        )
    return kind[name]


def _describe_frame(frame: pd.DataFrame, container: str) -> Inputs:
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise SampleError("The sample's columns have several levels; flatten them to plain names first.")
    names = [_column_name(label) for label in frame.columns]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated or not names:
        raise SampleError(
            f"The sample has several columns named {sorted(repeated)[0]!r}; input names must be unique."
            if repeated
            else "The sample has no columns."
        )
    described = [_describe_column(name, frame.iloc[:, position]) for position, name in enumerate(names)]
    return Inputs(
        container,
        [spec for spec, _ in described],
        [entry for _, entry in described],
        _dtypes(described),
        frame.iloc[:0].reset_index(drop=True),
    )


def _column_name(label: Any) -> str:
    # A Series without a name becomes a frame with the column 0, in pandas' own words.
    return "x" if label is None else _input_name(label)


def _input_name(label: Any) -> str:
    name = str(label)
    if not name.strip():
        raise SampleError("An input of the sample has no name; rename the empty column or key.")
    return name


def _describe_column(name: str, column: pd.Series[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    kind = _column_kind(name, column)
    texts: Any = column.cat.categories if kind == "category" else column.dropna().unique() if kind == "string" else []
    literals = sorted(_MISSING_TEXTS.intersection(map(str, texts)))
    spec: dict[str, Any] = {"name": name, "kind": kind, "missing": _missing_mark(column), "literals": literals}
    if kind == "datetime":
        spec["utc"] = getattr(column.dtype, "tz", None) is not None
    return spec, _column_entry(name, kind, column, bool(literals))


def _column_entry(name: str, kind: str, column: pd.Series[Any], has_literals: bool) -> dict[str, Any]:
    import pandas as pd

    missing = bool(column.isna().any())
    # An array of strings has no missing values: fnnx writes the text "None". Where that is a value of its own, only
    # a JSON list can tell the two apart.
    if missing and has_literals:
        return {"name": name, "content_type": "JSON", "dtype": _NULLABLE_STRINGS, "tags": []}
    wire = _WIRE.get(kind, "string")
    if wire in ("int64", "bool") and (missing or pd.api.types.is_extension_array_dtype(column.dtype)):
        wire = "float64"
    return _array_entry(name, wire, ["batch"])


def _column_kind(name: str, column: pd.Series[Any]) -> str:
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        _refuse_ambiguous_categories(name, dtype)
        return "category"
    if pd.api.types.is_object_dtype(dtype):
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        if inferred in _INFERRED_KINDS:
            return _INFERRED_KINDS[inferred]
        raise SampleError(_unsupported(name, f"{inferred} values"))
    for kind, fits in _kind_tests().items():
        if fits(dtype):
            return kind
    raise SampleError(_unsupported(name, f"values of type {dtype}"))


def _kind_tests() -> dict[str, Any]:
    from pandas.api import types

    return {
        "bool": types.is_bool_dtype,
        "int": types.is_integer_dtype,
        "float": types.is_float_dtype,
        "datetime": types.is_datetime64_any_dtype,
        "timedelta": types.is_timedelta64_dtype,
        "string": types.is_string_dtype,
    }


def _refuse_ambiguous_categories(name: str, dtype: pd.CategoricalDtype) -> None:
    texts = [str(category) for category in dtype.categories]
    if len(set(texts)) < len(texts):
        raise SampleError(f"Column {name!r} has categories that look the same as text; make them distinct.")


def _unsupported(name: str, what: str) -> str:
    return (
        f"Column {name!r} of the sample holds {what}, which a request cannot carry; "
        "convert it to numbers, booleans, strings, categories or datetimes."
    )


def _missing_mark(column: pd.Series[Any]) -> str:
    missing = column[column.isna()]
    if missing.empty or column.dtype != object:
        return "nan"
    first = missing.iloc[0]
    return "none" if first is None else "nan" if isinstance(first, float) else "na"


def _describe_value(name: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if not _is_array_like(value) or _holds_mappings(value):
        return _describe_json(name, value)
    import numpy as np

    array = _as_array(name, value)
    kind, missing = _array_kind(name, array)
    shape: list[str | int] = ["batch", *array.shape[1:]]
    spec = {"name": name, "kind": kind, "missing": missing, "literals": [], "shape": shape}
    spec |= {"form": "list" if isinstance(value, list) else "array"}
    spec |= {"dtype": "str" if array.dtype.kind == "U" else str(array.dtype)}
    if kind == "string" and array.size:
        spec["literals"] = sorted(_MISSING_TEXTS.intersection(np.unique(array.astype(str)[array != None])))  # noqa: E711
    return spec, _array_entry(name, _WIRE.get(kind, "string"), shape)


def _as_array(name: str, value: Any) -> Any:
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        raise SampleError(f"Input {name!r} of the sample is ragged; all its rows must have the same length.") from error
    if array.ndim == 0:
        raise SampleError(f"Input {name!r} of the sample is a single value; give a list with one entry per row.")
    return array


def _array_kind(name: str, array: Any) -> tuple[str, str]:
    kinds = {"f": "float", "i": "int", "u": "int", "b": "bool", "U": "string"}
    if array.dtype.kind in kinds:
        return kinds[array.dtype.kind], "nan"
    values = array.reshape(-1).tolist()
    if array.dtype.kind == "O" and all(isinstance(value, str) or _is_missing(value) for value in values):
        return "string", "none" if None in values else "nan"
    raise SampleError(
        f"Input {name!r} of the sample is an array of type {array.dtype} with mixed values; "
        "pass a DataFrame, in which every column has a type of its own."
    )


def _describe_json(name: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    types = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    if type(value) not in types:
        raise SampleError(
            f"Input {name!r} of the sample is a {type(value).__name__}; use numbers, strings, booleans, dicts, "
            "lists or arrays."
        )
    entry = {"name": name, "content_type": "JSON", "dtype": f"ext::{types[type(value)]}", "tags": []}
    return {"name": name, "kind": "json"}, entry


def _array_entry(name: str, dtype: str, shape: list[Any]) -> dict[str, Any]:
    return {"name": name, "content_type": "NDJSON", "dtype": f"Array[{dtype}]", "shape": shape, "tags": []}


def _dtypes(described: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    return {entry["dtype"]: json_schema(entry["dtype"]) for _, entry in described if entry["content_type"] == "JSON"}


def json_schema(dtype: str) -> dict[str, Any]:
    """The JSON Schema behind one of the ``ext::`` types that LUML declares."""
    if dtype == _NULLABLE_STRINGS:
        return {"type": "array", "items": {"type": ["string", "null"]}}
    name = dtype.removeprefix("ext::")
    return {} if name == "any" else {"type": name}


def _wire_column(column: pd.Series[Any], kind: str) -> list[Any]:
    values = column.astype(object).tolist()
    convert: Any = {"int": int, "float": finite_or_marker, "bool": bool, "string": str, "category": str}.get(
        kind, _isoformat
    )
    return [None if _is_missing(value) else convert(value) for value in values]


def _isoformat(value: Any) -> str:
    return str(value.isoformat())


def _wire_value(value: Any) -> Any:
    if not _is_array_like(value):
        return value
    return _wire_items(value.tolist() if hasattr(value, "tolist") else value)


def _wire_items(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_wire_items(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if _is_missing(value):
        return None
    return finite_or_marker(value) if isinstance(value, float) else value


def finite_or_marker(value: Any) -> float | str:
    """`value` as a float, or as the text by which fnnx sends what JSON has no word for."""
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    )


def _holds_mappings(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _is_array_like(value: Any) -> bool:
    return isinstance(value, list | tuple) or type(value).__name__ == "ndarray"
