"""The Open Inference Protocol, version 2, with its binary extension: what clients of Triton and KServe speak."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from .compression import plain_body
from .exchange import ENCODE, Call, Outputs, Protocol, Refusal, Reply, Request
from .inputs import InvalidInput, checked_attributes, checked_inputs
from .model import LoadedModel, ModelSlot
from .tensors import Tensor, array_of, as_bytes, as_list, datatype_of, shape_of, told, value_of

MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready|/infer)?")
HEADER_LENGTH = b"inference-header-content-length"
BINARY = b"application/octet-stream"


class Wanted(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Inference(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


DECODER = msgspec.json.Decoder(Inference)


def is_inference(path: str) -> bool:
    """Whether the model is asked to run."""
    found = MODEL.fullmatch(path)
    return found is not None and found[3] == "/infer"


def prepare(model: LoadedModel, request: Request, defaults: Mapping[str, str]) -> Call:
    """The call that an inference request asks for; raises Refusal."""
    name = addressed(model, request)
    body = plain_body(request)
    size = header_size(request, len(body))
    asked = read_header(body[:size])
    inputs = checked_inputs(model, values(model, asked, body[size:]))
    attributes = checked_attributes(model, texts(model, asked.parameters or {}), defaults)
    check_outputs(model, asked)
    return Call(inputs, attributes, lambda outputs: answer(model, name, asked, outputs))


def addressed(model: LoadedModel, request: Request) -> str:
    """The name by which the model is asked for: its own, or that of its deployment. Raises Refusal."""
    found = MODEL.fullmatch(request.path)
    name, version = (unquote(found[1]), found[2]) if found else ("", None)
    if name not in {name_of(model), request.header(b"x-deployment-id")}:
        raise Refusal(404, f"There is no model {name!r} here, only {name_of(model)!r}")
    if version is not None and unquote(version) != version_of(model):
        raise Refusal(404, f"The model has no version {unquote(version)!r}, only {version_of(model)!r}")
    return name


def name_of(model: LoadedModel) -> str:
    """The model's own name."""
    return str(model.manifest.get("name") or "model")


def version_of(model: LoadedModel) -> str:
    """The model's own version."""
    return str(model.manifest.get("version") or "1")


def header_size(request: Request, size: int) -> int:
    """How much of the body is JSON; raises Refusal."""
    told_size = request.header(HEADER_LENGTH)
    if not told_size:
        return size
    if not told_size.isdecimal() or int(told_size[:12]) > size:
        raise Refusal(400, f"Inference-Header-Content-Length is {told_size[:40]!r}, and the body has {size} bytes")
    return int(told_size)


def read_header(header: bytes) -> Inference:
    """The JSON of a request; raises InvalidInput."""
    try:
        return DECODER.decode(header)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        place = place.removesuffix("`")
        raise InvalidInput(location_of(place), f"{message} at {place.lstrip('.') or 'the top'}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput([], f"The body is not JSON: {error}", "json_invalid") from None
    except RecursionError:
        raise InvalidInput([], "The body is nested too deeply", "json_invalid") from None


def location_of(place: str) -> list[str | int]:
    """`.inputs[0].shape` in the form of the contract."""
    return [int(part) if part.isdecimal() else part for part in re.findall(r"\w+", place)]


def values(model: LoadedModel, asked: Inference, binary: bytes) -> dict[str, Any]:
    """The inputs by name; raises InvalidInput."""
    specs = {spec["name"]: spec for spec in model.manifest["inputs"]}
    given: dict[str, Any] = {}
    rest = memoryview(binary)
    for tensor in asked.inputs:
        raw, rest = binary_part(tensor, rest)
        if tensor.name in given:
            raise InvalidInput(["inputs", tensor.name], f"`{tensor.name}` is there more than once")
        array = array_of(tensor, raw)
        spec = specs.get(tensor.name)
        given[tensor.name] = value_of(spec, array, spec["dtype"], ["inputs", tensor.name]) if spec else array
    if rest:
        raise InvalidInput([], f"{len(rest)} bytes after the JSON belong to no input")
    return given


def binary_part(tensor: Tensor, rest: memoryview) -> tuple[bytes | None, memoryview]:
    """The bytes of a tensor, if it has some, and what is left."""
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return None, rest
    if type(size) is not int or not 0 <= size <= len(rest) or tensor.data is not msgspec.UNSET:
        message = (
            f"`{tensor.name}` has binary_data_size {size}; {len(rest)} bytes are left for it, and it may have no `data`"
        )
        raise InvalidInput(["inputs", tensor.name], message)
    return bytes(rest[:size]), rest[size:]


def texts(model: LoadedModel, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are dynamic attributes, as texts. There are many others, for servers of other kinds."""
    known = {attribute["name"] for attribute in model.manifest.get("dynamic_attributes", [])}
    return {
        name: ENCODE(value).decode() if isinstance(value, int | float) else value
        for name, value in parameters.items()
        if name in known
    }


def check_outputs(model: LoadedModel, asked: Inference) -> None:
    """Refuse outputs that the model does not have."""
    names = [spec["name"] for spec in model.manifest["outputs"]]
    for wanted in asked.outputs or ():
        if wanted.name not in names:
            raise InvalidInput(
                ["outputs", wanted.name], f"The model has no output `{wanted.name}`, only {', '.join(names)}"
            )


def answer(model: LoadedModel, name: str, asked: Inference, outputs: Outputs) -> Reply:
    """The outputs as tensors, those that were asked for, each as JSON or as bytes; raises Refusal."""
    tensors, tails = [], []
    for output, binary in chosen(asked, outputs):
        datatype, array = told(output, outputs[output])
        described: dict[str, Any] = {"name": output, "datatype": datatype, "shape": list(array.shape)}
        if binary:
            tails.append(as_bytes(array))
            described["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            described["data"] = as_list(output, array)
        tensors.append(described)
    head: dict[str, Any] = {"model_name": name, "model_version": version_of(model)}
    if asked.id is not None:
        head["id"] = asked.id
    return composed(ENCODE({**head, "outputs": tensors}), tails)


def chosen(asked: Inference, outputs: Outputs) -> list[tuple[str, bool]]:
    """The names of the outputs to tell, and whether as bytes."""
    binary = (asked.parameters or {}).get("binary_data_output") is True
    if asked.outputs is None:
        return [(name, binary) for name in outputs]
    return [
        (wanted.name, (wanted.parameters or {}).get("binary_data", binary) is True)
        for wanted in asked.outputs
        if wanted.name in outputs
    ]


def composed(header: bytes, tails: list[bytes]) -> Reply:
    """JSON alone, or JSON and what follows it."""
    if not tails:
        return Reply(200, header)
    return Reply(200, header + b"".join(tails), BINARY, ((HEADER_LENGTH, str(len(header)).encode()),))


def refuse(refusal: Refusal) -> Reply:
    """What clients of the protocol read, beside what the contract says."""
    return Reply(refusal.status, ENCODE({"error": refusal.message, "detail": refusal.detail}))


def read(slot: ModelSlot, request: Request) -> Reply:
    """The answers to GET: health, and what there is to know of the server and the model."""
    path = request.path
    if path == "/v2/health/live":
        return Reply(200, b'{"live":true}')
    if path == "/v2/health/ready":
        return Reply(200 if slot.model else 503, ENCODE({"ready": slot.model is not None}))
    if path == "/v2":
        return Reply(200, ENCODE({"name": "luml-model-server", "version": "1", "extensions": ["binary_tensor_data"]}))
    try:
        return read_model(slot, request)
    except Refusal as refusal:
        return refuse(refusal)


def read_model(slot: ModelSlot, request: Request) -> Reply:
    """What there is to know of the model; raises Refusal."""
    found = MODEL.fullmatch(request.path)
    if not found:
        raise Refusal(404, "Not found")
    if found[3] == "/infer":
        raise Refusal(405, "Use POST")
    if slot.model is None:
        raise Refusal(503, "The model is loading" if slot.state == "loading" else "The model failed to load")
    name = addressed(slot.model, request)
    return Reply(200, ENCODE({"name": name, "ready": True} if found[3] else metadata(slot.model, name)))


def metadata(model: LoadedModel, name: str) -> dict[str, Any]:
    """Names, datatypes and shapes, from the manifest."""
    manifest = model.manifest
    return {
        "name": name,
        "versions": [version_of(model)],
        "platform": f"fnnx_{manifest.get('variant', 'pyfunc')}",
        "inputs": [tensor_metadata(spec) for spec in manifest["inputs"]],
        "outputs": [tensor_metadata(spec) for spec in manifest["outputs"]],
    }


def tensor_metadata(spec: dict[str, Any]) -> dict[str, Any]:
    """One input or output."""
    return {"name": spec["name"], "datatype": datatype_of(spec), "shape": shape_of(spec)}


OPEN_INFERENCE = Protocol(prepare, refuse)
