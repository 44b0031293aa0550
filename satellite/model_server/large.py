"""Reading large bodies of numbers: simdjson goes from their text to an array without a Python object for each.

It is not to be had for every version of Python. Where it is missing, and for whatever is not plain, nothing is read
here, and the other ways read the same, in more time.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

Found = tuple[dict[str, np.ndarray[Any, Any]], Any]
LARGE = 8192
"""From so many bytes on it is the faster way."""
KEPT = 4 * 1024 * 1024


def loaded() -> Any:
    """simdjson, or None."""
    try:
        return importlib.import_module("simdjson")
    except ImportError:
        return None


class LargeReader:
    """Reads the inputs by name, each an array of 64-bit floats with so many dimensions (1 or 2)."""

    def __init__(self, depths: Mapping[str, int]) -> None:
        self.depths = depths
        self.names = sorted(depths)
        self.simdjson = loaded()
        self.own = threading.local()

    def read(self, text: bytes) -> Found | None:
        """Arrays by input, and the dynamic attributes as sent; None for what is not plain, or is not right."""
        if self.simdjson is None or len(text) < LARGE:
            return None
        try:
            return self.found(self.parser(len(text)).parse(text), text.count(b"["))
        except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, OverflowError, UnicodeError):
            return None

    def parser(self, size: int) -> Any:
        """This thread's own; for a very large body another, for it keeps the memory that it has needed."""
        if size > KEPT:
            return self.simdjson.Parser()
        if not hasattr(self.own, "parser"):
            self.own.parser = self.simdjson.Parser()
        return self.own.parser

    def found(self, document: Any, brackets: int) -> Found | None:
        """What a parsed body holds. simdjson flattens lists in lists, so their number has to be the right one."""
        keys, inputs = list(document.keys()), document["inputs"]
        if sorted(keys) not in (["inputs"], ["dynamic_attributes", "inputs"]) or sorted(inputs.keys()) != self.names:
            return None
        arrays, expected = {}, 0
        for name, depth in self.depths.items():
            array = numbers(inputs[name], depth)
            arrays[name] = array
            expected += 1 if depth == 1 else 1 + len(array)
        attributes: Any = document["dynamic_attributes"] if len(keys) > 1 else None
        given = attributes.as_dict() if hasattr(attributes, "as_dict") else attributes
        return (arrays, given) if expected == brackets else None


def numbers(listed: Any, depth: int) -> np.ndarray[Any, Any]:
    """An array of floats; raises ValueError or TypeError where rows differ in length, or something is no number."""
    shape: tuple[int, ...] = (len(listed),)
    if depth == 2:
        (width,) = set(map(len, listed))
        shape = (len(listed), width)
    # A copy: the buffer is the parser's, and a model may write into what it is given.
    return np.frombuffer(listed.as_buffer(of_type="d"), np.float64).reshape(shape).copy()
