"""What a model gives, described for the manifest from one prediction."""

from __future__ import annotations

from typing import Any

from luml_app.packaging.inputs import json_schema


def describe_outputs(outputs: dict[str, Any], rows: int | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Manifest entries for predicted `outputs` and the ``ext::`` types that they use.

    `rows` is the number of rows of the sample: the first dimension of an array is called ``batch`` where it agrees.
    """
    entries = [_entry(name, value, rows) for name, value in outputs.items()]
    return entries, {
        entry["dtype"]: json_schema(entry["dtype"]) for entry in entries if entry["content_type"] == "JSON"
    }


def _entry(name: str, value: Any, rows: int | None) -> dict[str, Any]:
    if not hasattr(value, "dtype"):
        return {"name": name, "content_type": "JSON", "dtype": "ext::any", "tags": []}
    element = {"f": "float64", "i": "int64", "b": "bool"}.get(value.dtype.kind, "string")
    length: str = "batch" if rows is None or value.shape[0] == rows else f"{name}_length"
    shape = [length, *value.shape[1:]]
    return {"name": name, "content_type": "NDJSON", "dtype": f"Array[{element}]", "shape": shape, "tags": []}


def as_json(outputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs as lists and plain values. NaN and infinities stay floats."""
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in outputs.items()}
