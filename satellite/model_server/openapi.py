"""The OpenAPI document of one model, built from its manifest."""

from __future__ import annotations

from typing import Any

from .model import LoadedModel

NUMBER: dict[str, Any] = {"type": ["number", "null"]}
INTEGER: dict[str, Any] = {"type": "integer"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
TEXT: dict[str, Any] = {"type": ["string", "null"]}
ELEMENTS = {
    "float32": NUMBER, "float64": NUMBER, "float": NUMBER,
    "int32": INTEGER, "int64": INTEGER, "int": INTEGER, "integer": INTEGER,
    "bool": BOOLEAN, "boolean": BOOLEAN, "string": TEXT, "str": TEXT,
}  # fmt: skip


def document(model: LoadedModel, path: str = "/compute") -> dict[str, Any]:
    """OpenAPI 3.1 with the one operation `POST path`: its inputs, dynamic attributes and outputs, all by name."""
    manifest = model.manifest
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.get("name") or "model",
            "version": manifest.get("version") or "1",
            "description": manifest.get("description") or "",
        },
        "paths": {path: {"post": operation()}},
        "components": {
            "schemas": {
                "ComputeRequest": request_schema(model),
                "ComputeResponse": values_schema(model, manifest["outputs"]),
            }
        },
    }


def operation() -> dict[str, Any]:
    """The compute operation, referring to the schemas of request and answer."""
    return {
        "operationId": "compute",
        "summary": "Run the model",
        "requestBody": {"required": True, "content": json_content("ComputeRequest")},
        "responses": {
            "200": {"description": "The model's outputs", "content": json_content("ComputeResponse")},
            "422": {"description": "The request does not fit the model; the answer names the input"},
        },
    }


def json_content(schema: str) -> dict[str, Any]:
    """A JSON body of a named schema."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def request_schema(model: LoadedModel) -> dict[str, Any]:
    """The body of a compute request."""
    attributes = {
        attribute["name"]: {"type": "string", "description": attribute.get("description", "")}
        for attribute in model.manifest.get("dynamic_attributes", [])
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": values_schema(model, model.manifest["inputs"]),
            "dynamic_attributes": {"type": "object", "additionalProperties": False, "properties": attributes},
        },
    }


def values_schema(model: LoadedModel, specs: list[dict[str, Any]]) -> dict[str, Any]:
    """An object with one property per input or output."""
    properties = {spec["name"]: value_schema(model, spec) for spec in specs}
    return {"type": "object", "required": list(properties), "properties": properties}


def value_schema(model: LoadedModel, spec: dict[str, Any]) -> dict[str, Any]:
    """Nested lists down to the element for arrays; the declared JSON Schema for JSON."""
    if spec["content_type"] != "NDJSON":
        return dict(model.dtypes.get(spec["dtype"], {}))
    element = spec["dtype"].partition("[")[2].removesuffix("]")
    schema = dict(ELEMENTS.get(element) or model.dtypes.get(element, {}))
    for size in reversed(spec["shape"]):
        schema = {"type": "array", "items": schema}
        if isinstance(size, int):
            schema |= {"minItems": size, "maxItems": size}
    return schema
