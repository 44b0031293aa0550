"""Write the reference page of the documentation from the operations: ``python -m luml_app.web.reference [--check]``."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from luml_app.core.operations import Operation
from luml_app.resources import RESOURCES, all_operations
from luml_app.web.openapi import document

TARGET = Path(__file__).parents[1] / "docs" / "reference.md"
_HEAD = """# Reference

Every operation of the platform, written from the code by `python -m luml_app.web.reference`.
An operation has one name everywhere: `collections.create` is the `operationId` in [OpenAPI](/docs/api),
`client.collections.create(…)` in [Python](python.md) and the route below in [REST](rest.md).
Ids in a path are positional arguments in Python, fields of the body and query parameters are keywords.
"""
_CALLERS = {
    "anyone": "Anyone may call it.",
    "satellite": "For satellites, with their key.",
    "user": "For signed-in users.",
}


def generated() -> str:
    """The page as Markdown."""
    openapi = msgspec.json.decode(document())
    operations = list(all_operations().values())
    parts: list[Iterable[str]] = [[_HEAD]]
    for resource in RESOURCES:
        parts.append([f"## {resource.name}\n", _sentence(resource.__doc__) + "\n"])
        parts += [_operation(o, openapi) for o in operations if o.resource is resource]
    parts.append(_types(openapi["components"]["schemas"]))
    return "\n".join(itertools.chain.from_iterable(parts))


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` say whether it is as it would be written."""
    text = generated()
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("docs/reference.md is not fresh: run `python -m luml_app.web.reference`")
    return 1


def _operation(operation: Operation, openapi: dict[str, Any]) -> Iterator[str]:
    described = openapi["paths"][operation.path][operation.method.lower()]
    yield f"### {operation.name}\n"
    yield f"`{operation.method} {operation.path}`\n"
    yield _paragraphs(operation.summary) + "\n"
    yield " ".join([*_facts(operation), _exchange(operation, described)]) + "\n"
    query = [parameter for parameter in described["parameters"] if parameter["in"] == "query"]
    if query:
        yield from _table("query parameter", _query_rows(query))


def _facts(operation: Operation) -> Iterator[str]:
    if operation.deprecated:
        yield "**Deprecated.**"
    yield f"Needs `{operation.needs}`." if operation.needs else _CALLERS[operation.by]
    if operation.aliases:
        yield f"Older clients call {', '.join(f'`{path}`' for path in operation.aliases)}."
    if operation.wakes_on is not None:
        yield "With `wait` (seconds, at most 60) an empty answer waits for news."


def _exchange(operation: Operation, described: dict[str, Any]) -> str:
    body = described.get("requestBody")
    answer = described["responses"][str(operation.status)].get("content")
    sent = f"Takes {_type(body['content']['application/json']['schema'])}; answers" if body else "Answers"
    if operation.streams:
        return f"{sent} {operation.status} with a line of JSON for each item."
    return f"{sent} {operation.status}" + (f" with {_type(answer['application/json']['schema'])}." if answer else ".")


def _query_rows(parameters: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for parameter in parameters:
        default = "needed" if parameter["required"] else _default(parameter["schema"])
        yield parameter["name"], _type(parameter["schema"]), default


def _types(schemas: dict[str, Any]) -> Iterator[str]:
    yield "## Types\n"
    yield "What travels, as JSON. Times are ISO 8601 with a zone, ids are UUIDs.\n"
    for name, schema in sorted(schemas.items()):
        yield f"### {name}\n"
        if schema.get("description"):
            yield _paragraphs(schema["description"].replace("``", "`")) + "\n"
        needed = set(schema.get("required", ()))
        rows = ((field, _type(kind), _presence(field, kind, needed)) for field, kind in schema["properties"].items())
        yield from _table("field", rows)


def _presence(field: str, schema: dict[str, Any], needed: set[str]) -> str:
    return "always" if field in needed else _default(schema)


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None else f"default `{msgspec.json.encode(default).decode()}`"


def _table(title: str, rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    yield f"| {title} | type | |"
    yield "|---|---|---|"
    for name, kind, note in rows:
        yield f"| `{name}` | {kind} | {note} |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words of Markdown."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else _tuple(schema)
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return str(schema.get("format") or schema.get("type", "anything")) + _limits(schema)


def _tuple(schema: dict[str, Any]) -> str:
    return f"[{', '.join(_type(one) for one in schema.get('prefixItems', ()))}]"


def _limits(schema: dict[str, Any]) -> str:
    low = schema.get("minLength", schema.get("minimum"))
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else low
    high = schema.get("maxLength", schema.get("maximum"))
    if low is None and high is None:
        return ""
    unit = " characters" if schema.get("type") == "string" else ""
    if high is None:
        return f" (at least {low}{unit})"
    return f" ({low} to {high}{unit})" if low is not None else f" (at most {high}{unit})"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _paragraphs(text: str) -> str:
    """A docstring with its lines joined, paragraph by paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
