"""Boosters of LightGBM, in its own text format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The booster."""
    import lightgbm

    return lightgbm.Booster(model_file=file("model.txt"))


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What the booster gives."""
    return {"prediction": model.predict(native)}
