"""What filter expressions mean, in plain Python over plain rows: the yardstick for what PostgreSQL finds."""

from __future__ import annotations

import math
import operator
from datetime import UTC, datetime
from typing import Any

from luml_app.schemas.filters import Among, Both, Compare, Contains, Either, Exists, Filter, Not

_OPERATORS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def holds(tree: Filter, row: dict[str, Any]) -> bool:
    """Whether a row fits: attributes by name, `metrics` and `params` as dicts."""
    match tree:
        case Both(parts):
            return all(holds(part, row) for part in parts)
        case Either(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)
        case Compare(field, order, value):
            return compares(_value(field.name, row), order, value)
        case Among(field, values):
            return any(compares(_value(field.name, row), "=", value) for value in values)
        case Contains(field, piece):
            return _contains(_value(field.name, row), piece)
        case Exists(field):
            return _value(field.name, row) not in (None, [])


def _value(name: str, row: dict[str, Any]) -> Any:
    group, _, inner = name.partition(".")
    if not inner:
        return row[name]
    found = row[group].get(inner)
    return object() if isinstance(found, (list, dict)) else found  # it is there, and equals nothing


def compares(found: Any, order: Any, value: Any) -> bool:
    if found is None:
        return False
    if isinstance(found, list):
        return value in found
    if isinstance(found, datetime) and not isinstance(value, datetime):
        return _day_compares(found, order, value)
    found, value = _as_stored(found), _as_stored(value) if isinstance(value, bool) else value
    return type(found) is type(value) and bool(_OPERATORS[order](found, value))


def _as_stored(value: Any) -> Any:
    """Truth is stored as a text, numbers as doubles: too large an integer as infinity, next to nothing as zero."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float)):
        return value
    if abs(value) > 1.7e308:
        return math.copysign(math.inf, value > 0 or -1)
    return 0.0 if abs(value) < 1e-307 else float(value)


def _day_compares(found: datetime, order: str, day: Any) -> bool:
    return bool(_OPERATORS[order](found.astimezone(UTC).date(), day))


def _contains(found: Any, piece: str) -> bool:
    if isinstance(found, list):
        return piece in found
    if isinstance(found, bool):
        found = str(found).lower()
    return isinstance(found, str) and piece.lower() in found.lower()
