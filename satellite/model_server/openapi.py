"""The OpenAPI document of one model, built from its manifest: all protocols in which it can be asked, with examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import arrow
from .examples import example
from .exchange import ENCODE
from .model import LoadedModel
from .open_inference import name_of
from .tensors import NUMPY, datatype_of, shape_of

Schema = dict[str, Any]
LONGEST_EXAMPLE = 256

NUMBER: Schema = {"type": ["number", "null"]}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TEXT: Schema = {"type": ["string", "null"]}
ELEMENTS = {
    "float32": NUMBER, "float64": NUMBER, "float": NUMBER,
    "int32": INTEGER, "int64": INTEGER, "int": INTEGER, "integer": INTEGER,
    "bool": BOOLEAN, "boolean": BOOLEAN, "string": TEXT, "str": TEXT,
}  # fmt: skip
BYTES: Schema = {"type": "string", "format": "binary"}
REFUSALS = {
    "413": {"description": "The body is too large"},
    "415": {"description": "The body is of a kind that is not taken here"},
    "422": {
        "description": "The request does not fit the model; the answer names the input",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Invalid"}}},
    },
    "429": {"description": "Too many requests are waiting; Retry-After says when to come back"},
    "503": {"description": "The model cannot be asked at the moment; Retry-After says when to come back"},
}
INVALID: Schema = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        }
    },
}


def document(model: LoadedModel) -> Schema:
    """OpenAPI 3.1 with every operation of the model."""
    manifest = model.manifest
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.get("name") or "model",
            "version": manifest.get("version") or "1",
            "description": manifest.get("description") or "",
        },
        "paths": {**contract(model), **mlflow(model), **open_inference(model)},
        "components": {
            "schemas": {
                "ComputeRequest": request_schema(model),
                "ComputeResponse": values_schema(model, manifest["outputs"]),
                "Invalid": INVALID,
            }
        },
    }


def contract(model: LoadedModel) -> Schema:
    """Inputs by name."""
    given = {
        "application/json": with_example({"schema": reference("ComputeRequest")}, model, example_inputs),
        arrow.MEDIA_TYPE: {"schema": BYTES},
    }
    told = {"application/json": {"schema": reference("ComputeResponse")}, arrow.MEDIA_TYPE: {"schema": BYTES}}
    return {"/compute": {"post": operation("compute", "Run the model", "LUML", given, told)}}


def mlflow(model: LoadedModel) -> Schema:
    """Rows or columns as MLflow's scoring server takes them."""
    forms = {
        "dataframe_split": {
            "type": "object",
            "properties": {"columns": {"type": "array"}, "data": {"type": "array"}, "index": {"type": "array"}},
        },
        "dataframe_records": {"type": "array", "items": {"type": "object"}},
        "instances": {"type": "array"},
        "inputs": {"type": ["object", "array"]},
    }
    shape = {
        "type": "object",
        "properties": {**forms, "params": attributes_schema(model)},
        "oneOf": [{"required": [form]} for form in forms],
    }
    given = {
        "application/json": with_example({"schema": shape}, model, example_inputs),
        "text/csv": {"schema": {"type": "string"}},
        arrow.MEDIA_TYPE: {"schema": BYTES},
    }
    answer = {"type": "object", "required": ["predictions"], "properties": {"predictions": {}}}
    told = {"application/json": {"schema": answer}, arrow.MEDIA_TYPE: {"schema": BYTES}}
    summary = "Run the model on rows or columns, as MLflow's clients send them"
    return {"/invocations": {"post": operation("invocations", summary, "MLflow", given, told)}}


def open_inference(model: LoadedModel) -> Schema:
    """Tensors."""
    name = name_of(model)
    base = f"/v2/models/{name}"
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
            "datatype": {"enum": [*NUMPY, "BYTES"]},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
    }
    shape = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        },
    }
    answer = {"type": "object", "properties": {"outputs": {"type": "array", "items": tensor}}}
    given = {"application/json": with_example({"schema": shape}, model, example_tensors)}
    told = {"application/json": {"schema": answer}, "application/octet-stream": {"schema": BYTES}}
    kind = "Open Inference"
    return {
        f"{base}/infer": {"post": operation("infer", "Run the model on tensors", kind, given, told)},
        base: {"get": read("modelMetadata", "Names, datatypes and shapes of the tensors", kind)},
        f"{base}/ready": {"get": read("modelReady", "Whether the model can be asked", kind)},
        "/v2/health/ready": {"get": read("serverReady", "Whether the model server is ready", kind)},
        "/v2/health/live": {"get": read("serverLive", "Whether the model server is there", kind)},
    }


def operation(name: str, summary: str, tag: str, given: Schema, told: Schema) -> Schema:
    """A request with a body."""
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "requestBody": {"required": True, "content": given},
        "responses": {"200": {"description": "What the model says", "content": told}, **REFUSALS},
    }


def read(name: str, summary: str, tag: str) -> Schema:
    """A request without one."""
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": {"description": "So it is", "content": content}, "503": REFUSALS["503"]},
    }


def reference(schema: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{schema}"}


def request_schema(model: LoadedModel) -> Schema:
    """The body of a compute request."""
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": values_schema(model, model.manifest["inputs"]),
            "dynamic_attributes": attributes_schema(model),
        },
    }


def attributes_schema(model: LoadedModel) -> Schema:
    """The dynamic attributes, all of them texts."""
    attributes = {
        attribute["name"]: {"type": "string", "description": attribute.get("description", "")}
        for attribute in model.manifest.get("dynamic_attributes", [])
    }
    return {"type": "object", "additionalProperties": False, "properties": attributes}


def values_schema(model: LoadedModel, specs: list[Schema]) -> Schema:
    """An object with one property per input or output."""
    properties = {spec["name"]: value_schema(model, spec) for spec in specs}
    return {"type": "object", "required": list(properties), "properties": properties}


def value_schema(model: LoadedModel, spec: Schema) -> Schema:
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


def with_example(content: Schema, model: LoadedModel, made: Callable[[LoadedModel], Any]) -> Schema:
    """A kind of content with an example of its `inputs`, unless that would be a long one."""
    short = all(math.prod(map(abs, shape_of(spec))) <= LONGEST_EXAMPLE for spec in model.manifest["inputs"])
    return {**content, "example": {"inputs": made(model)}} if short else content


def example_inputs(model: LoadedModel) -> Schema:
    """Values that fit every input."""
    return {spec["name"]: example(value_schema(model, spec)) for spec in model.manifest["inputs"]}


def example_tensors(model: LoadedModel) -> list[Schema]:
    """The same as tensors."""
    return [
        {
            "name": spec["name"],
            "datatype": datatype_of(spec),
            "shape": list(map(abs, shape_of(spec))),
            "data": tensor_data(spec, example(value_schema(model, spec))),
        }
        for spec in model.manifest["inputs"]
    ]


def tensor_data(spec: Schema, value: Any) -> list[Any]:
    """A value of an input as a tensor has it: what is neither number nor text travels as its JSON."""
    items = flat(value) if spec["content_type"] == "NDJSON" else [value]
    as_json = spec["content_type"] != "NDJSON" or "ext::" in spec["dtype"]
    return [ENCODE(item).decode() for item in items] if as_json else items


def flat(value: Any) -> list[Any]:
    """Nested lists as one."""
    return [item for part in value for item in flat(part)] if isinstance(value, list) else [value]
