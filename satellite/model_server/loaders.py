"""Ways into a loaded model that spare what has been done already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Compute = Callable[[dict[str, Any], dict[str, str]], dict[str, Any]]


def direct(handler: Any) -> Compute | None:
    """The model's own `compute`, past fnnx's conversions, which turn every array into lists and back.

    Our arrays have the declared type and shape by then. Everything else still goes through fnnx. None where this
    version of fnnx is made otherwise than the one that we know.
    """
    if not all(hasattr(handler, name) for name in ("vrt", "_prepare_inputs", "_prepare_outputs")):
        return None

    def compute(inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        others = {name: value for name, value in inputs.items() if not isinstance(value, np.ndarray)}
        prepared = {**inputs, **handler._prepare_inputs(others)} if others else inputs
        outputs: dict[str, Any] = handler._prepare_outputs(handler.vrt.compute(prepared, dynamic_attributes))
        return outputs

    return compute
