"""Models of CatBoost, in its own format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The model, of the class that it was."""
    import catboost

    return getattr(catboost, config["class"])().load_model(str(file("model.cbm")))


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What each method gives."""
    return {name: getattr(model, method)(native) for name, method in config["methods"].items()}
