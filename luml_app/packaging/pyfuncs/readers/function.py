"""Functions and callable objects, whose source is stored."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The function, the instance with the state that was stored, or an instance that makes its state itself."""
    function = named(config["module"], config["name"])
    if config.get("instance"):
        return _restored(function, file("state.pkl"))
    return function() if isinstance(function, type) else function


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What the function gives."""
    return {"prediction": model(native)}


def named(module: str, name: str) -> Any:
    """A definition of a module."""
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _restored(cls: Any, path: Path) -> Any:
    instance = cls.__new__(cls)
    with path.open("rb") as stream:
        state = pickle.load(stream)  # noqa: S301 - a model file is code; whoever runs it trusts it
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(state)
    else:
        instance.__dict__.update(state or {})
    return instance
