"""Pipelines of Hugging Face transformers, from weights in the model file: nothing is fetched from anywhere."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The pipeline, with the parameters that it had."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import pipeline

    model = pipeline(config["task"], model=str(file("pipeline/config.json").parent), device="cpu")
    with file("parameters.pkl").open("rb") as stream:
        parameters = pickle.load(stream)  # noqa: S301 - a model file is code; whoever runs it trusts it
    for name, values in parameters.items():
        getattr(model, name).update(values)
    return model


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What the pipeline gives: one entry for each row, in the words of JSON."""
    if isinstance(native, dict):
        return {"prediction": model(**native)}
    rows = native.iloc[:, 0].tolist() if hasattr(native, "iloc") and native.ndim == 2 else list(native)
    return {"prediction": [] if not rows else model(rows)}
