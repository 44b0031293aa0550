"""A value that fits a JSON Schema, for somebody who has not seen the model yet."""

from __future__ import annotations

from typing import Any

LONGEST = 256
DEEPEST = 12
SIMPLE = {"number": 0.5, "integer": 1, "boolean": True, "string": "text", "null": None}


def example(schema: Any, room: int = LONGEST, depth: int = 0) -> Any:
    """The simplest value; what the schema gives as its own example, first of all.

    Arrays have up to `room` elements, those inside of them counted: a schema is written by whoever made the model.
    """
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    for own in ("example", "default", "const"):
        if own in schema:
            return schema[own]
    for several in ("examples", "enum"):
        if isinstance(schema.get(several), list) and schema[several]:
            return schema[several][0]
    for branches in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(branches), list) and schema[branches]:
            return example(schema[branches][0], room, depth + 1)
    return of_kind(schema, room, depth)


def of_kind(schema: dict[str, Any], room: int, depth: int) -> Any:
    """A value of the first type that the schema names."""
    kinds = schema.get("type", "string")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object" and isinstance(schema.get("properties"), dict):
        return {name: example(one, room, depth + 1) for name, one in schema["properties"].items()}
    if kind == "array":
        size = max(1, min(room, schema.get("minItems", 1)))
        return [example(schema.get("items"), room // size, depth + 1)] * size
    if kind in ("number", "integer") and "minimum" in schema:
        return schema["minimum"]
    return SIMPLE.get(kind) if isinstance(kind, str) else None
