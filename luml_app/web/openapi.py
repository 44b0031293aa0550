"""OpenAPI 3.1 from the operations."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from luml_app.core.operations import Operation
from luml_app.resources import all_operations
from luml_app.schemas.errors import Problem

_REFERENCE = "#/components/schemas/{name}"
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "user": [{"key": []}, {"cookie": []}],
    "satellite": [{"key": []}],
    "anyone": [],
}


@cache
def document() -> bytes:
    """The document as JSON."""
    operations = all_operations().values()
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "LUML", "version": version("luml")},
            "paths": paths,
            "components": {"schemas": {**components, **_ERRORS}, "securitySchemes": _SCHEMES},
        }
    )


_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: dfs_… of a user, dfssat_… of a satellite."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "access_token"},
}
_ERRORS = {
    "Error": {
        "type": "object",
        "required": ["detail"],
        "properties": {"detail": {"type": "string"}, "code": {"type": "string"}},
    },
    "InvalidError": {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
            "code": {"type": "string"},
        },
    },
}


def _schemas(operations: Any) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of every body, answer and parameter, by type, and the components that they refer to."""
    types: list[Any] = [Problem]
    for operation in operations:
        types += [kind for kind in (operation.body, operation.returns) if kind is not None]
        types += [parameter.annotation for parameter in operation.query.values()]
    found, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return {_key(kind): schema for kind, schema in zip(types, found, strict=True)}, components


def _key(kind: Any) -> str:
    return repr(kind)


def _described(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    summary, _, rest = operation.summary.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.resource.name],
        "summary": summary,
        "description": rest.strip() or _needs(operation),
        "parameters": [*_path(operation), *_query(operation, schemas)],
        "responses": _responses(operation, schemas),
        "security": _SECURITY[operation.by],
    }
    if operation.deprecated:
        described["deprecated"] = True
    if operation.body is not None:
        content = {"application/json": {"schema": schemas[_key(operation.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _needs(operation: Operation) -> str:
    return f"Needs the permission `{operation.needs}`." if operation.needs else ""


def _path(operation: Operation) -> list[dict[str, Any]]:
    schema = {"type": "string", "format": "uuid"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in operation.path_parameters]


def _query(operation: Operation, schemas: dict[Any, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": parameter.default is parameter.empty,
            "schema": _with_default(schemas[_key(parameter.annotation)], parameter),
        }
        for name, parameter in operation.query.items()
    ]


def _with_default(schema: dict[str, Any], parameter: Any) -> dict[str, Any]:
    optional = type(None) in get_args(parameter.annotation)
    if parameter.default is parameter.empty or (optional and parameter.default is None):
        return schema
    return {**schema, "default": parameter.default}


def _responses(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Success"}
    if operation.returns is not None:
        kind = "application/x-ndjson" if operation.streams else "application/json"
        success["content"] = {kind: {"schema": {} if operation.streams else schemas[_key(operation.returns)]}}
    failures = [400, 401, 403, 404, 409, 413, 429, 503]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    invalid = {"application/json": {"schema": {"$ref": "#/components/schemas/InvalidError"}}}
    described = {str(status): {"description": "Failure", "content": error} for status in failures}
    return {
        str(operation.status): success,
        **described,
        "422": {"description": "A field is not valid", "content": invalid},
    }
