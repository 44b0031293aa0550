"""What our own document promises of answers, against `rest-v1.json`: clients parse by that one, whatever we send.

The other tests look at the answers to one request each; this one at all that an answer may ever hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from luml_app.core.operations import Operation
from tests.contract.test_contract import CONTRACT, KEPT, our_document

Schema = dict[str, Any]
THEIRS: Schema = CONTRACT["components"]["schemas"]
OURS: Schema = our_document()["components"]["schemas"]
OF_S3_ONLY = {"region", "upload_id", "url"}
"""Fields that answers about Azure have as null, or not at all: one class of ours stands for two of the contract."""
FREE = {"manifest"}
"""Checked when it comes in, by the rules of its type, and given out as it came."""


def parts(schema: Any, schemas: Schema) -> list[Schema]:
    """The alternatives of a schema, without references."""
    if not isinstance(schema, dict):
        return []
    if "$ref" in schema:
        return parts(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    inner = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    return [found for one in inner for found in parts(one, schemas)] if inner else [schema]


def kinds(schemas: list[Schema]) -> set[str]:
    return {one.get("type", "string" if "enum" in one else "anything") for one in schemas}


def words(schemas: list[Schema]) -> set[str]:
    return {word for one in schemas for word in one.get("enum", [])}


def surprises(promised: Any, given: Any, place: str = "answer") -> Iterator[str]:
    """Where an answer of ours may hold what the contract does not allow."""
    theirs, ours = parts(promised, THEIRS), parts(given, OURS)
    if "anything" not in kinds(theirs) and (further := kinds(ours) - kinds(theirs)):
        yield f"{place} may be {further}"
    if words(theirs) and not words(ours) <= words(theirs):
        yield f"{place} may be {words(ours) - words(theirs)}"
    for one in theirs:
        for other in (other for other in ours if other.get("type") == one.get("type")):
            fields = other.get("properties", {})
            for name, field in one.get("properties", {}).items():
                if name not in fields:
                    yield f"{place}.{name} is missing"
                elif name not in OF_S3_ONLY | FREE:
                    yield from surprises(field, fields[name], f"{place}.{name}")
            if "items" in one and "items" in other:
                yield from surprises(one["items"], other["items"], f"{place}[]")


@pytest.mark.parametrize(("promised", "operation"), KEPT)
def test_an_answer_never_holds_what_clients_do_not_expect(promised: Schema, operation: Operation) -> None:
    content = next(one for status, one in promised["responses"].items() if status.startswith("2")).get("content")
    if content is None:
        return
    given = our_document()["paths"][operation.path][operation.method.lower()]["responses"][str(operation.status)]
    shapes = (one["content"]["application/json"]["schema"] for one in ({"content": content}, given))
    assert not list(surprises(*shapes))
