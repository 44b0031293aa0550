"""Reading a compute request straight into the types that the manifest declares: half the work for well-formed numbers.

It knows the plain case only. Whatever does not fit, from a `null` to a misspelt input, is left to the general way,
which finds out what is wrong and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from .large import Found, LargeReader

FLOATS = {"float32", "float64", "float"}
# An array of more dimensions is read in the general way.
MOST_DIMENSIONS = 2

Reader = Callable[[bytes], Found | None]


def reader_of(manifest: dict[str, Any]) -> Reader | None:
    """Reads a body into arrays of 64-bit floats by input, and the dynamic attributes as sent; None for other models."""
    specs = manifest["inputs"]
    if not specs or not all(is_plain(spec) for spec in specs):
        return None
    fields = [
        (f"i{place}", list[list[float]] if len(spec["shape"]) == 2 else list[float], msgspec.field(name=spec["name"]))
        for place, spec in enumerate(specs)
    ]
    try:
        inputs = msgspec.defstruct("Inputs", fields, forbid_unknown_fields=True, gc=False)
    except ValueError:
        return None  # a name that msgspec does not take, with a quotation mark in it, say
    body = msgspec.defstruct("Body", [("inputs", inputs), ("dynamic_attributes", Any, None)], gc=False)
    decode = msgspec.json.Decoder(body).decode
    names = [(f"i{place}", spec["name"], len(spec["shape"])) for place, spec in enumerate(specs)]
    large = LargeReader({name: depth for _, name, depth in names})

    def read(text: bytes) -> Found | None:
        if quickly := large.read(text):
            return quickly
        try:
            found: Any = decode(text)
        except (msgspec.MsgspecError, RecursionError):
            return None
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for field, name, depth in names:
            if (array := array_of(getattr(found.inputs, field), depth)) is None:
                return None
            arrays[name] = array
        return arrays, found.dynamic_attributes

    return read


def is_plain(spec: dict[str, Any]) -> bool:
    """Whether an input is an array of floats in one or two dimensions."""
    dtype = spec["dtype"]
    is_array = spec["content_type"] == "NDJSON" and dtype.startswith("Array[")
    return is_array and dtype[len("Array[") : -1] in FLOATS and 1 <= len(spec["shape"]) <= MOST_DIMENSIONS


def array_of(values: list[Any], depth: int) -> np.ndarray[Any, Any] | None:
    """An array of floats that are known to be floats; None where rows differ in length, or there are none."""
    if depth == 1:
        return np.fromiter(values, np.float64, len(values))
    lengths = set(map(len, values))
    if len(lengths) != 1:
        return None
    width = lengths.pop()
    return np.fromiter(chain.from_iterable(values), np.float64, len(values) * width).reshape(len(values), width)
