"""`POST /compute` of the contract: inputs by name in, outputs by name out; as JSON, or as Arrow for batches."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from . import arrow
from .compression import plain_body
from .exchange import Call, Outputs, Protocol, Reply, Request, refuse
from .inputs import InvalidInput, check_request, checked_attributes, checked_inputs
from .model import LoadedModel
from .outputs import encode
from .tables import inputs_of_columns

DECODE = msgspec.json.Decoder().decode


def prepare(model: LoadedModel, request: Request, defaults: Mapping[str, str]) -> Call:
    """The call that a compute request asks for; raises Refusal."""
    body = plain_body(request)
    answer = arrow.answer if arrow.wanted(request) else answer_json
    if request.content_type != arrow.MEDIA_TYPE:
        if model.read and (found := model.read(body)):
            arrays, given = found
            return Call(checked_inputs(model, arrays), checked_attributes(model, given, defaults), answer)
        inputs, attributes = check_request(model, read_json(body), defaults)
        return Call(inputs, attributes, answer)
    columns, given = arrow.read(body)
    return Call(
        checked_inputs(model, inputs_of_columns(model, columns)), checked_attributes(model, given, defaults), answer
    )


def answer_json(outputs: Outputs) -> Reply:
    """The outputs by name."""
    return Reply(200, encode(outputs))


def read_json(body: bytes) -> object:
    """A JSON body; raises InvalidInput."""
    try:
        return DECODE(body)
    except msgspec.DecodeError as error:
        raise InvalidInput([], f"The body is not JSON: {error}", "json_invalid") from None
    except UnicodeDecodeError:
        raise InvalidInput([], "The body is not JSON: it is not UTF-8", "json_invalid") from None
    except RecursionError:
        raise InvalidInput([], "The body is nested too deeply", "json_invalid") from None


COMPUTE = Protocol(prepare, refuse)
