"""Calls of a deployed model: a sample to a request, an answer to a DataFrame."""

from __future__ import annotations

import math
import time
from typing import Any

import httpx
import msgspec

from luml_app.client.connections import explained
from luml_app.client.wire import encode_body, error_of, seconds_of
from luml_app.schemas.errors import ServerFault, Unavailable

PATIENCE = 60.0
"""Seconds for which a call is repeated that the endpoint asks to be made later."""
CONNECT_PATIENCE = 5.0
"""Seconds for which a satellite is awaited that does not listen: it may be starting again."""


def request_of_sample(sample: Any) -> dict[str, Any]:
    """The inputs by name that stand for a DataFrame, Series, array, list or dict."""
    from luml_app.packaging.inputs import describe, request

    return request(sample, describe(sample))


def compute(http: httpx.Client, url: str, api_key: str | None, body: dict[str, Any]) -> dict[str, Any]:
    """POST a compute request. Raises the error that the endpoint reports, Unavailable when nothing answers."""
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    answer = _posted(http, url, encode_body("compute", body), headers)
    if not answer.is_success:
        raise error_of("compute", answer.status_code, answer.headers, answer.content)
    try:
        outputs = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ServerFault(f"The endpoint's answer is not what was expected: {error}") from error
    return outputs


def _posted(http: httpx.Client, url: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
    """POST, and again for a while as long as the endpoint asks to come back later (429, 503 with Retry-After).

    A request that is cut off is sent once more: a gateway that dies is there again within a second, and to predict
    twice changes nothing.
    """
    started, cut = time.monotonic(), False
    while True:
        waited = time.monotonic() - started
        try:
            answer = http.post(url, content=content, headers=headers)
        except httpx.ConnectError as error:
            if waited > CONNECT_PATIENCE:
                raise Unavailable(
                    f"Nothing answers at {url} ({explained(error)}). Is the satellite running?"
                ) from error
            time.sleep(0.5)
            continue
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if cut:
                raise Unavailable(f"The call of {url} was cut off twice: {explained(error)}") from error
            cut = True
            continue
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"The call of {url} failed: {explained(error)}") from error
        wait = seconds_of(answer.headers.get("Retry-After", ""))
        if answer.status_code not in {429, 503} or wait is None or waited + wait > PATIENCE:
            return answer
        time.sleep(max(wait, 0.1))


_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}


def predictions(outputs: dict[str, Any], sample: Any) -> Any:
    """The outputs as a DataFrame: one column per output, or per column of an output with two dimensions.

    It keeps the sample's index where it has one. Outputs that are no columns of one length stay a dict, and so does
    everything where pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        return outputs
    columns: dict[str, list[Any]] = {}
    for name, values in outputs.items():
        if not isinstance(values, list):
            return outputs
        widths = {len(row) if isinstance(row, list) else None for row in values}
        if len(widths) > 1:  # rows of different lengths are no columns
            return outputs
        width = next(iter(widths), None)
        columns |= {name: values} if width is None else {f"{name}_{i}": [r[i] for r in values] for i in range(width)}
    columns = {name: _with_infinities(values) for name, values in columns.items()}
    if len({len(values) for values in columns.values()}) > 1:
        return outputs
    index = getattr(sample, "index", None)
    fits = index is not None and not callable(index) and columns and len(index) == len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=index if fits else None)


def _with_infinities(values: list[Any]) -> list[Any]:
    """A column of numbers with the numbers that JSON has no word for; one with other texts stays as it is."""
    words = [value for value in values if isinstance(value, str)]
    if not words or not all(word in _INFINITIES for word in words):
        return values
    return [_INFINITIES[value] if isinstance(value, str) else value for value in values]
