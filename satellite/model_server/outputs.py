"""What a model returns, as plain arrays and as JSON."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from .exchange import Refusal


def encode(outputs: dict[str, Any]) -> bytes:
    """Outputs as JSON: arrays as nested lists; NaN as `null`, infinities as "Infinity" and "-Infinity".

    JSON has no word for these numbers. The same words are taken for them in inputs.
    Raises TypeError naming the kind of object that cannot be expressed.
    """
    told = ENCODER.encode(outputs)
    # msgspec writes `null` for all of them; arrays have been looked at by then, lists of Python's floats have not.
    return ENCODER.encode(marked(outputs)) if b"null" in told else told


def check_finite(outputs: dict[str, Any]) -> None:
    """For protocols without a word for infinities; raises Refusal naming the output that has one."""
    for name, value in outputs.items():
        if holds_infinity(value):
            raise Refusal(406, f"The output `{name}` holds Infinity, which has no form in this answer; ask for Arrow")


def holds_infinity(value: Any) -> bool:
    """Whether there is one anywhere in an output."""
    array = numbers_of(value)
    if array is not None:
        return array.dtype.kind == "f" and bool(np.isinf(array).any())
    if isinstance(value, dict):
        return any(map(holds_infinity, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_infinity, value))
    return isinstance(value, float) and math.isinf(value)


def numbers_of(value: Any) -> np.ndarray[Any, Any] | None:
    """A numpy array, scalar or pandas object as an array; None for everything else."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    return np.asarray(value.to_numpy()) if hasattr(value, "to_numpy") else None


def plain(value: Any) -> Any:
    """The JSON-able form of one numpy, fnnx or pandas object."""
    array = numbers_of(value)
    if array is not None:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return marked(array.tolist())
        return array.tolist()
    if is_container(value):
        return value.data
    raise TypeError(f"The model returned {type(value).__name__}, which has no JSON form")


def is_container(value: Any) -> bool:
    """Whether it is an fnnx NDContainer."""
    return hasattr(value, "dtypes_manager") and hasattr(value, "data")


def marked(value: Any) -> Any:
    """A JSON-able value in which the words of the contract stand for infinities, and None for NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else WORDS[str(value)]
    if isinstance(value, list | tuple):
        return [marked(item) for item in value]
    if isinstance(value, dict):
        return {name: marked(item) for name, item in value.items()}
    if value is None or isinstance(value, str | int | bytes):
        return value
    array = numbers_of(value)
    return (
        value if array is None and not is_container(value) else marked(value.data if array is None else array.tolist())
    )


WORDS = {"nan": None, "inf": "Infinity", "-inf": "-Infinity"}
ENCODER = msgspec.json.Encoder(enc_hook=plain)
