"""Pickled models with methods such as ``predict``: estimators and pipelines of scikit-learn, and all that look so."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The estimator."""
    with file("model.pkl").open("rb") as stream:
        return pickle.load(stream)  # noqa: S301 - a model file is code; whoever runs it trusts it


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What each method gives. Of a model with several targets, the probabilities are one result for each target."""
    results: dict[str, Any] = {}
    for name, method in config["methods"].items():
        result = getattr(model, method)(native)
        if method == "predict_proba" and isinstance(result, list):
            results |= {f"{name}_{target}": array for target, array in enumerate(result)}
        else:
            results[name] = result
    return results
