"""Turns what a model returns into JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np


def encode(outputs: dict[str, Any]) -> bytes:
    """Outputs as JSON: arrays as nested lists, NaN and infinities as `null` (JSON has no word for them).

    Raises TypeError naming the kind of object that cannot be expressed.
    """
    return ENCODER.encode(outputs)


def plain(value: Any) -> Any:
    """The JSON-able form of one numpy, fnnx or pandas object."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "dtypes_manager") and hasattr(value, "data"):  # an fnnx NDContainer
        return value.data
    if hasattr(value, "to_numpy"):
        return value.to_numpy().tolist()
    raise TypeError(f"The model returned {type(value).__name__}, which has no JSON form")


ENCODER = msgspec.json.Encoder(enc_hook=plain)
