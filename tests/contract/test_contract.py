"""The REST contract that clients and satellites in people's hands speak: `rest-v1.json`, against our operations."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from luml_app.core.operations import Operation
from luml_app.web.errors import status_of
from luml_app.web.openapi import document
from tests.api.cases import OPERATIONS, request_of
from tests.api.conftest import database_url, stage
from tests.api.stage import Stage
from tests.serving import RunningServer

__all__ = ["database_url", "stage"]

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("rest-v1.json").read_text())
LATER = """
"""
"""What the contract has and we have not yet. An operation that is added is struck from here."""


IGNORED = {
    "auth.update_me": {"disabled", "auth_method"},  # not one's own to decide
    "organizations.update": {"id"},  # the path says it
    "orbits.update": {"id"},
    "members.create": {"organization_id"},
    "members.update": {"id"},
    "invites.create": {"organization_id"},
    "orbit_members.create": {"orbit_id"},
    "orbit_members.update": {"id"},
    "deployments.update": {"schemas", "error_message"},  # the satellite's to report
}
"""Fields that clients may send and that change nothing."""
# Our orbits have viewers, too; and what no limit is for us was 0 before.
CONTRACT["components"]["schemas"]["OrbitRole"]["enum"].append("viewer")


def _shape(method: str, path: str) -> tuple[str, str]:
    return method.upper(), re.sub(r"\{\w+\}", "{}", path)


PROMISED = {
    _shape(method, path): promised
    for path, methods in CONTRACT["paths"].items()
    for method, promised in methods.items()
}
OURS = {_shape(one.method, one.path): one for one in OPERATIONS.values()}
KEPT = [pytest.param(PROMISED[key], one, id=one.name) for key, one in OURS.items() if key in PROMISED]


def test_every_promised_operation_is_there_or_on_the_list() -> None:
    later = {(line.split()[0], line.split()[1]) for line in LATER.strip().splitlines()}
    assert PROMISED.keys() - OURS.keys() == later


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": CONTRACT["components"]})


def alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "oneOf" in schema:
        return [found for one in schema["oneOf"] for found in alternatives(one)]
    if "$ref" in schema:
        return alternatives(CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return [schema]


@cache
def our_document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def call(server: RunningServer, stage: Stage, operation: Operation) -> httpx.Response:
    request = request_of(stage, operation)
    path = operation.path.format(**request.path)
    headers = {"Authorization": f"Bearer {request.credentials.token}"} if request.credentials.token else {}
    kept = {"refresh_token": request.credentials.refresh_token, "provider_visit": request.credentials.visit}
    cookies = {name: value for name, value in kept.items() if value}
    with httpx.Client(base_url=server.address, headers=headers, cookies=cookies, timeout=60) as http:
        return http.request(operation.method, path, params=request.query, json=request.body)


@pytest.mark.parametrize(("promised", "operation"), KEPT)
def test_status_and_answer_are_as_promised(
    promised: dict[str, Any], operation: Operation, stage: Stage, server: RunningServer
) -> None:
    answer = call(server, stage, operation)
    success = next(status for status in promised["responses"] if status.startswith("2"))
    assert str(answer.status_code) == success, answer.text
    content = promised["responses"][success].get("content")
    if content is None:
        assert answer.content == b""
    else:
        validator(content["application/json"]["schema"]).validate(answer.json())


@pytest.mark.parametrize(("promised", "operation"), KEPT)
def test_what_clients_send_is_understood(promised: dict[str, Any], operation: Operation) -> None:
    queries = {one["name"] for one in promised.get("parameters", []) if one["in"] == "query"}
    assert queries <= operation.query.keys()
    if "requestBody" not in promised:
        assert operation.body is None or not any(f.required for f in msgspec.structs.fields(operation.body))
        return
    fields = {one.encode_name: one.required for one in msgspec.structs.fields(operation.body)}
    for schema in alternatives(promised["requestBody"]["content"]["application/json"]["schema"]):
        assert schema.get("properties", {}).keys() - IGNORED.get(operation.name, set()) <= fields.keys()
        assert {name for name, required in fields.items() if required} <= set(schema.get("required", []))


def test_our_own_document_is_valid_openapi() -> None:
    own = our_document()
    assert own["openapi"].startswith("3.1")
    for schema in own["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for _path, methods in own["paths"].items():
        for one in methods.values():
            assert one["operationId"] in OPERATIONS
            assert one["summary"].endswith("."), one["operationId"]
            assert {str(OPERATIONS[one["operationId"]].status), "422"} <= one["responses"].keys()


def test_every_reference_of_our_document_leads_somewhere() -> None:
    schemas = our_document()["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', document().decode()):
        assert name in schemas


ANSWERING = [one for one in OPERATIONS.values() if one.returns and not one.streams]


@pytest.mark.parametrize("operation", ANSWERING, ids=lambda one: one.name)
def test_answers_are_as_our_document_says(operation: Operation, stage: Stage, server: RunningServer) -> None:
    answer = call(server, stage, operation)
    described = our_document()["paths"][operation.path][operation.method.lower()]["responses"][str(operation.status)]
    schema = described["content"]["application/json"]["schema"]
    components = our_document()["components"]
    Draft202012Validator({**schema, "components": components}).validate(answer.json())


def test_errors_have_the_form_of_the_contract(stage: Stage, server: RunningServer) -> None:
    http = httpx.Client(base_url=server.address, headers={"Authorization": f"Bearer {stage.cast.alice.api_key}"})
    refused = [
        (http.get("/v1/nothing"), 404),
        (http.get(f"/v1/organizations/{stage.cast.elsewhere.organization_id}"), 404),
        (http.get("/v1/organizations/not-an-id"), 404),
        (http.put("/v1/organizations", json={}), 405),
        (http.get("/v1/auth/users/me", headers={"Authorization": "Bearer nobody"}), 401),
        (http.get("/satellites/v1/tasks"), 403),
        (http.delete(f"/v1/organizations/{stage.cast.here.organization_id}"), 409),
    ]
    for answer, status in refused:
        assert answer.status_code == status
        assert isinstance(answer.json()["detail"], str)
        assert answer.json()["detail"]
    faulty = http.post("/v1/organizations", json={"name": 1})
    assert faulty.status_code == 422
    (problem,) = faulty.json()["detail"]
    assert problem["loc"] == ["body", "name"]
    assert problem.keys() >= {"loc", "msg", "type"}
    http.close()


def test_every_error_has_a_status() -> None:
    from luml_app.schemas.errors import errors_by_code

    statuses = {
        code: status_of(kind())
        for code, kind in errors_by_code().items()
        if kind.__module__.startswith("luml_app.schemas")
    }
    assert set(statuses.values()) == {400, 401, 403, 404, 409, 413, 422, 429, 500, 503}
