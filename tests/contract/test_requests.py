"""What clients may send, at its limits: values made from `rest-v1.json`, which itself says whether each is allowed.

What the contract allows is understood (whatever comes of it then: a conflict, an id of nothing), and what it forbids is
refused with a 422 — for every field of every body and every parameter of every query.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import FormatChecker

from luml_app.core.operations import Operation
from luml_app.core.service import Request
from luml_app.schemas.errors import Invalid, LumlError, ServerFault, TooManyRequests
from tests.api.bad_values import changed
from tests.api.cases import OPERATIONS, request_of
from tests.api.conftest import database_url, stage
from tests.api.stage import Stage
from tests.contract.test_contract import CONTRACT, IGNORED, KEPT, alternatives, validator

__all__ = ["database_url", "stage"]

Schema = dict[str, Any]
FORMATS = FormatChecker(["uuid"])
UNLIMITED = 255
"""Characters that we take at least where the contract names no limit."""
STRICTER = {
    "email": "is looked at more closely than by the contract",
    "password": "of 8 to 128 characters; the contract says so of new ones only",
    "file_name": "has a form of its own",
    "file_hash": "is a sha256",
    "size": "is not negative, and of an upload not 0",
    "manifest": "is checked by the rules of its type",
    "type": "of a bucket goes with its address and credentials",
    "access_key": "goes with a secret_key",
    "secret_key": "goes with an access_key",
    "session_token": "goes with both",
    "region": "is a part of a host's name",
    "id": "is the one that the path says",
    "upload_id": "is what S3 has given",
    "endpoint": "is an address, or of Azure a connection string",
    "bucket_name": "is a name",
    "bucket_id": "leads to a bucket",
    "sort_by": "of artifacts is the name of a field or a metric",
}
"""Fields of which we do not take all that the contract does not forbid, and why. Their limits still hold."""
NAMED = {"name", "stages"}
"""A thing that must have a name has one that is not empty."""
LOOSER = {("agent.pair", "capabilities")}
"""Fields that take more here than in the contract; missing ones need no mention."""


def parts(schema: Schema) -> list[Schema]:
    """The alternatives of a schema, without references."""
    if "$ref" in schema:
        return parts(CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    inner = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    return [found for one in inner for found in parts(one)] if inner else [schema]


def text_of(length: int, form: str | None) -> str:
    start = {"email": "@example.org", "uri": "https://example.org/"}.get(form or "", "")
    filled = "\N{SNOWMAN}" * max(length, 0) if not start else "x" * (length - len(start))
    return filled + start if form == "email" else start + filled


def values_of(schema: Schema) -> Iterator[Any]:
    """Values at the limits, a step beyond them, and of every other kind."""
    yield from (None, 7, True, "neither here nor there", [7], {"?": [7]})
    for one in parts(schema):
        yield from one.get("enum", [])
        yield from [one["const"]] if "const" in one else []
        kind, form = one.get("type"), one.get("format")
        if form == "uuid":
            yield str(uuid.uuid4())
        elif kind == "string" and "enum" not in one and "const" not in one:
            longest = one.get("maxLength", UNLIMITED)
            yield text_of(longest, form)
            yield from [text_of(longest + 1, form)] if "maxLength" in one else []
            yield from [] if form else [""]
        elif kind == "array" and "items" in one:
            yield []
            yield from ([item] for item in values_of(one["items"]))
            most = one.get("maxItems", 20)
            yield from ([f"tag {number}" for number in range(count)] for count in (most, most + 1))
        elif kind == "object" and isinstance(one.get("additionalProperties"), dict):
            yield {}
            yield from ({"key": value} for value in values_of(one["additionalProperties"]))


def understood(stage: Stage, request: Request) -> bool:
    """Whether the service takes it for one that it can answer."""
    try:
        stage.house.service.call(request)
    except Invalid:
        return False
    except LumlError as error:
        assert not isinstance(error, (TooManyRequests, ServerFault))
    return True


def expected(name: str, field: str, schema: Schema, value: Any) -> bool | None:
    """What the contract says of a value; None where we may say otherwise."""
    allowed = validator(schema).evolve(format_checker=FORMATS).is_valid(value)
    if not allowed:
        return None if value is None or (name, field) in LOOSER else False
    if field in STRICTER or (field in NAMED and value in ("", [""])):
        return None
    return True


BODIES = [
    pytest.param(operation, alternative, id=f"{operation.name}-{number}" if number else operation.name)
    for promised, operation in (one.values for one in KEPT)
    if "requestBody" in promised
    for number, alternative in enumerate(alternatives(promised["requestBody"]["content"]["application/json"]["schema"]))
]
AZURE = {
    "type": "azure",
    "endpoint": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9v;EndpointSuffix=core.windows.net",
    "bucket_name": "models",
}


@pytest.mark.parametrize(("operation", "promised"), BODIES)
def test_bodies(operation: Operation, promised: Schema, stage: Stage) -> None:
    request = request_of(stage, operation)
    azure = promised["properties"].get("type", {}).get("const") == "azure"
    sample = AZURE if azure else request.body
    wrong = []
    for field, schema in promised["properties"].items():
        if field in IGNORED.get(operation.name, ()):
            continue
        for value in values_of(schema):
            right = expected(operation.name, field, schema, value)
            request.body = json.dumps(changed(sample, (field,), value)).encode()
            if understood(stage, request) is not right and right is not None:
                wrong.append((field, "refused" if right else "taken", str(value)[:60]))
    assert not wrong


QUERIES = [
    pytest.param(operation, promised, id=operation.name)
    for promised, operation in (one.values for one in KEPT)
    if any(one["in"] == "query" for one in promised.get("parameters", []))
]


def texts_of(schema: Schema) -> Iterator[tuple[Any, bool]]:
    """Values of a parameter as they come in an address, and whether each is allowed."""
    for one in parts(schema):
        kind = one.get("type")
        if kind == "integer":
            least, most = one["exclusiveMinimum"] + 1, one["maximum"]
            yield from ((str(number), least <= number <= most) for number in (least - 1, least, most, most + 1))
            yield "many", False
        elif kind == "boolean":
            yield from ((text, True) for text in ("true", "false", "True", "False", "1", "0"))
            yield "perhaps", False
        elif kind == "array":
            yield from (([text], allowed) for text, allowed in texts_of(one["items"]))
            yield [text for text, allowed in texts_of(one["items"]) if allowed], True
        elif "enum" in one:
            yield from ((text, True) for text in one["enum"])
            yield "neither", False
        elif one.get("format") == "uuid":
            yield from ((str(uuid.uuid4()), True), ("neither", False))
        elif kind == "string":
            yield from (("", True), ("\N{SNOWMAN}" * UNLIMITED, True))


@pytest.mark.parametrize(("operation", "promised"), QUERIES)
def test_queries(operation: Operation, promised: Schema, stage: Stage) -> None:
    request = request_of(stage, operation)
    sample, wrong = request.query, []
    for parameter in (one for one in promised["parameters"] if one["in"] == "query"):
        name = parameter["name"]
        if name in {"cursor", "code"} or (operation.name, name) == ("artifacts.list", "sort_by"):
            continue
        for value, right in texts_of(parameter["schema"]):
            request.query = sample | {name: value}
            if understood(stage, request) is not right:
                wrong.append((name, "refused" if right else "taken", str(value)[:60]))
    assert not wrong


def test_all_operations_with_something_to_send_are_looked_at() -> None:
    looked_at = {one.values[0].name for one in (*BODIES, *QUERIES)}  # type: ignore[union-attr]
    assert len(looked_at) > 45
    assert looked_at <= OPERATIONS.keys()
