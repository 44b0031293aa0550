"""Inputs of a model from files that people write: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

# 007 is a code and no number, 1_000 and "infinity" are nothing that a person writes into a column of numbers.
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TRUTH = {"true": True, "false": False}


def from_json(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Inputs and dynamic attributes of a JSON document: a whole request, or the inputs alone."""
    try:
        sent = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"The file is not JSON: {error}") from error
    request = sent if isinstance(sent, dict) and isinstance(sent.get("inputs"), dict) else {"inputs": sent}
    if not isinstance(request["inputs"], dict):
        raise click.UsageError('The JSON must be an object of inputs by name, such as {"age": [41, 52]}.')
    return request["inputs"], request.get("dynamic_attributes") or {}


def from_csv(text: str, inputs: Sequence[Mapping[str, Any]] = ()) -> dict[str, list[Any]]:
    """Columns by name. What the model (`inputs` of its manifest) takes as text stays text, empty cells are missing."""
    rows = list(csv.reader(io.StringIO(text)))
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise click.UsageError("The file holds no rows: CSV needs a line of names, then values.")
    names = rows[0]
    if len(set(names)) < len(names):
        raise click.UsageError("Two columns have the same name.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise click.UsageError(f"Row {number} has {len(row)} values for {len(names)} names.")
    texts = {one.get("name") for one in inputs if "string" in str(one.get("dtype"))}
    columns = zip(*rows[1:], strict=True)
    return {
        name: [cell or None for cell in column] if name in texts else _typed(column)
        for name, column in zip(names, columns, strict=True)
    }


def _typed(column: Iterable[str]) -> list[Any]:
    """A column as whole numbers, numbers or booleans if all of it looks so, else as text; nothing for empty cells."""
    cells = [cell.strip() for cell in column]
    for kind in (_whole, _number, _truth):
        try:
            return [kind(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _whole(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError(cell)
    return int(cell)


def _number(cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise ValueError(cell)
    return float(cell)


def _truth(cell: str) -> bool:
    if cell.lower() not in _TRUTH:
        raise ValueError(cell)
    return _TRUTH[cell.lower()]
