"""Calls of a deployed model: a sample to a request, an answer to a DataFrame."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec

from luml_app.client.wire import error_of
from luml_app.schemas.errors import ServerFault, Unavailable

TIMEOUT = 300.0
PATIENCE = 60.0
"""Seconds for which a call is repeated that the endpoint asks to be made later."""


def request_of_sample(sample: Any) -> dict[str, Any]:
    """The inputs by name that stand for a DataFrame, Series, array, list or dict."""
    from luml_app.packaging.inputs import describe, request

    return request(sample, describe(sample))


def compute(url: str, api_key: str | None, body: dict[str, Any]) -> dict[str, Any]:
    """POST a compute request. Raises the error that the endpoint reports, Unavailable when nothing answers."""
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    answer = _posted(url, msgspec.json.encode(body), headers)
    if not answer.is_success:
        raise error_of("compute", answer.status_code, answer.headers, answer.content)
    try:
        outputs = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ServerFault(f"The endpoint's answer is not what was expected: {error}") from error
    return outputs


def _posted(url: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
    """POST, and again for a while as long as the endpoint asks to come back later (429, 503 with Retry-After)."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = httpx.post(url, content=content, headers=headers, timeout=TIMEOUT)
        except httpx.TransportError as error:
            raise Unavailable(f"The endpoint {url} does not answer: {error}. Is the satellite running?") from error
        wait = answer.headers.get("Retry-After", "")
        if answer.status_code not in {429, 503} or not wait.isdigit() or time.monotonic() + int(wait) > deadline:
            return answer
        time.sleep(int(wait))


def predictions(outputs: dict[str, Any], sample: Any) -> Any:
    """The outputs as a DataFrame: one column per output, or per column of an output with two dimensions.

    It keeps the sample's index where it has one. Outputs that are no columns of one length stay a dict.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    for name, values in outputs.items():
        if not isinstance(values, list):
            return outputs
        if values and isinstance(values[0], list):
            width = len(values[0])
            columns |= {f"{name}_{i}": [row[i] for row in values] for i in range(width)}
        else:
            columns[name] = values
    if len({len(values) for values in columns.values()}) > 1:
        return outputs
    index = getattr(sample, "index", None)
    fits = index is not None and not callable(index) and columns and len(index) == len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=index if fits else None)
