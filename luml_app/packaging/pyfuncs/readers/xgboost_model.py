"""Boosters of XGBoost and its wrappers for scikit-learn, in XGBoost's own format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The booster or the wrapper around it, with what its file does not hold of the wrapper's parameters."""
    import xgboost

    model = getattr(xgboost, config["class"])(**config["parameters"])
    model.load_model(file("model.ubj"))
    return model


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What each method gives; a booster is asked with a matrix made of the rows."""
    if config["class"] == "Booster":
        import xgboost

        return {"prediction": model.predict(xgboost.DMatrix(native, enable_categorical=True))}
    return {name: getattr(model, method)(native) for name, method in config["methods"].items()}
