"""Modules of PyTorch: programs of `torch.export`, TorchScript, or pickled modules whose code is stored."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The module, ready to be called."""
    if config["form"] == "exported":
        return torch.export.load(file("model.pt2")).module()
    if config["form"] == "script":
        return torch.jit.load(str(file("model.pt")), map_location="cpu").eval()
    with file("model.pkl").open("rb") as stream:
        return pickle.load(stream).eval()  # noqa: S301 - a model file is code; whoever runs it trusts it


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What the module gives, without gradients: by key or field where it has them, else by place."""
    positional, named = arguments(native, config["element"])
    with torch.no_grad():
        result = model(*positional, **named)
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if isinstance(result, tuple | list):
        result = {f"output_{place}": one for place, one in enumerate(result)}
    results = result if isinstance(result, dict) else {"prediction": result}
    return {name: _plain(one) for name, one in results.items()}


def arguments(native: Any, element: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the module is called with: a tensor, or one by name for each entry of a mapping.

    Numbers with a fraction become the module's own type `element`, so that NumPy's float64 suits a float32 module.
    """
    if isinstance(native, dict):
        return (), {name: _tensor(value, element) for name, value in native.items()}
    return (_tensor(native, element),), {}


def _tensor(values: Any, element: str) -> Any:
    if hasattr(values, "columns"):
        values = values.to_numpy(dtype="float64", na_value=float("nan"))
    if not isinstance(values, np.ndarray | list) or (isinstance(values, list) and isinstance(values[0], str)):
        return values
    tensor = torch.as_tensor(np.asarray(values))
    return tensor.to(getattr(torch, element)) if tensor.is_floating_point() else tensor


def _plain(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
