"""`POST /compute` of the contract: inputs by name in, outputs by name out, as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .exchange import Call, Outputs, Protocol, Reply, Request, refuse
from .inputs import InvalidInput, check_request
from .model import LoadedModel
from .outputs import encode

DECODE = msgspec.json.Decoder().decode


def prepare(model: LoadedModel, request: Request, defaults: Mapping[str, str]) -> Call:
    """The call that a compute request asks for; raises Refusal."""
    inputs, attributes = check_request(model, read_json(request.body), defaults)
    return Call(inputs, attributes, answer)


def answer(outputs: Outputs) -> Reply:
    """The outputs by name."""
    return Reply(200, encode(outputs))


def read_json(body: bytes) -> object:
    """A JSON body; raises InvalidInput."""
    try:
        return DECODE(body)
    except msgspec.DecodeError as error:
        raise InvalidInput([], f"The body is not JSON: {error}", "json_invalid") from None
    except RecursionError:
        raise InvalidInput([], "The body is nested too deeply", "json_invalid") from None


COMPUTE = Protocol(prepare, refuse)
