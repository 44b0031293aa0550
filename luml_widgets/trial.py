"""A form for trying a model: from its signature to fields, from what is filled in to a request, and the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.blocks import Block

MAX_ROWS = 200
_WHOLE, _REAL, _TRUTH, _TEXT = "whole", "real", "truth", "text"
_KINDS = {
    **dict.fromkeys(("int32", "int64", "int", "integer"), _WHOLE),
    **dict.fromkeys(("float32", "float64", "float"), _REAL),
    **dict.fromkeys(("bool", "boolean"), _TRUTH),
    **dict.fromkeys(("string", "str"), _TEXT),
}
_FIELDS = {_WHOLE: "number", _REAL: "number", _TRUTH: "boolean", _TEXT: "text", None: "json"}
_START = {_WHOLE: "0", _REAL: "0.0", _TRUTH: "false", _TEXT: "", None: "[]"}
_HINTS = {_WHOLE: "whole number", _REAL: "number", _TRUTH: "true or false", _TEXT: "text"}


class NotFilledInError(ValueError):
    """What was filled in is no request; `errors` says why, by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(next(iter(errors.values())))
        self.errors = errors


def kind_of(spec: Mapping[str, Any]) -> str | None:
    """Which field one row of an input needs; None when only JSON can say it."""
    dtype, shape = str(spec.get("dtype", "")), spec.get("shape") or []
    one_value_a_row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if spec.get("content_type") != "NDJSON" or not one_value_a_row or not dtype.endswith("]"):
        return None
    return _KINDS.get(dtype.partition("[")[2].removesuffix("]"))


def start_values(inputs: list[dict[str, Any]], example: Mapping[str, Any] | None) -> dict[str, str]:
    """What the fields hold first: the first row of the stored example, else something of the right type."""
    values = {}
    for spec in inputs:
        name, kind = spec["name"], kind_of(spec)
        given = (example or {}).get(name)
        if given is None:
            values[name] = _START[kind]
        else:
            values[name] = _written(_first(given) if kind else given, kind)
    return values


def _first(value: Any) -> Any:
    while isinstance(value, list):
        value = value[0] if value else None
    return value


def _written(value: Any, kind: str | None) -> str:
    if kind == _TEXT:
        return "" if value is None else str(value)
    return "" if value is None and kind else json.dumps(value, ensure_ascii=False)


def fields(inputs: list[dict[str, Any]], values: Mapping[str, str], errors: Mapping[str, str]) -> list[Block]:
    """One field per input."""
    made = []
    for spec in inputs:
        name, kind = spec["name"], kind_of(spec)
        note = _HINTS.get(kind or "", str(spec.get("dtype", "")))
        made.append(b.field(name, name, type=_FIELDS[kind], value=values.get(name), note=note, error=errors.get(name)))
    return made


def request(inputs: list[dict[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """The request of one row. Raises NotFilledInError, which names every field that does not fit."""
    found, errors = _read_fields(inputs, values)
    if errors:
        raise NotFilledInError(errors)
    return {"inputs": found, "dynamic_attributes": {}}


def draft(inputs: list[dict[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """The request of one row as far as it is filled in: a field that does not fit is an empty list."""
    found, _ = _read_fields(inputs, values)
    return {"inputs": {spec["name"]: found.get(spec["name"], []) for spec in inputs}, "dynamic_attributes": {}}


def _read_fields(inputs: list[dict[str, Any]], values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    found, errors = {}, {}
    for spec in inputs:
        name, kind = spec["name"], kind_of(spec)
        try:
            value = _read(str(values.get(name, "")), kind)
        except ValueError as error:
            errors[name] = str(error)
            continue
        found[name] = value if kind is None else ([[value]] if len(spec["shape"]) == 2 else [value])
    return found, errors


def _read(text: str, kind: str | None) -> Any:
    try:
        return _READERS[kind](text)
    except ValueError as error:
        raise ValueError(f"Give {_WANTED[kind]}.") from error


_READERS: dict[str | None, Any] = {
    _WHOLE: lambda text: int(text.strip()),
    _REAL: lambda text: float(text) if text.strip() else None,
    _TRUTH: lambda text: {"true": True, "false": False}[text.strip().lower()] if text else False,
    _TEXT: lambda text: text,
    None: json.loads,
}
_WANTED = {_WHOLE: "a whole number", _REAL: "a number, or nothing", _TRUTH: "true or false", None: "valid JSON"}


def read_body(text: str) -> dict[str, Any]:
    """A whole request written as JSON. Raises NotFilledInError."""
    try:
        body = json.loads(text)
    except ValueError as error:
        raise NotFilledInError({"body": f"This is not valid JSON: {error}."}) from error
    if not isinstance(body, dict):
        raise NotFilledInError({"body": 'Give an object: {"inputs": {…}, "dynamic_attributes": {}}.'})
    return body


def answer(value: Any) -> list[Block]:
    """The outputs of a model: as a table where they are one value, or a few, per row; and as they came."""
    raw = b.code(_pretty(value)[:20_000], "Answer as JSON")
    rows = _rows(value)
    return [rows, raw] if rows else [raw]


def _pretty(value: Any) -> str:
    """JSON with one line per output: indented to the end, a list of numbers would fill the page."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    lines = [f"  {json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _rows(value: Any) -> Block | None:
    outputs = value if isinstance(value, dict) else {}
    lists = {name: column for name, column in outputs.items() if isinstance(column, list)}
    if not lists or len(lists) != len(outputs) or len({len(column) for column in lists.values()}) != 1:
        return None
    columns = [b.column("#", "Row", numeric=True, width="60px"), *(b.column(name, name) for name in lists)]
    count = min(len(next(iter(lists.values()))), MAX_ROWS)
    rows = [b.row(i, [str(i + 1), *(_cell(column[i]) for column in lists.values())]) for i in range(count)]
    return b.table("answer", columns, rows, label="Prediction")


def _cell(value: Any) -> Any:
    if isinstance(value, list) and len(value) <= 12 and all(f.is_finite(item) for item in value):
        return [{"text": f.number(item), "title": repr(item)} for item in value]
    if isinstance(value, (list, dict)):
        return {"text": json.dumps(value, ensure_ascii=False)[:120], "mono": True}
    return {"text": cell, "strong": True} if isinstance(cell := f.plain(value), str) else {**cell, "strong": True}
