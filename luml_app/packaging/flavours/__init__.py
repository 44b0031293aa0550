"""Kinds of models: one module for each, which says what it recognises and what is stored of it.

A module here defines ``recognises(model)`` and ``recipe(model, inputs, method, folder)``, and may set ``TAKES_JSON``
where rows mean nothing to its models. Its counterpart in `luml_app.packaging.pyfuncs.readers` goes into the file.
Libraries are recognised by the names of a model's classes, so none is imported that the model has not imported itself.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from luml_app.packaging.errors import StorageError
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.recipe import Recipe

# The first that recognises a model stores it: special ones stand before those that look at methods only.
_FLAVOURS = (
    "ready_made",
    "xgboost",
    "lightgbm",
    "catboost",
    "pytorch",
    "onnx",
    "transformers",
    "langgraph",
    "estimators",
    "functions",
)


class Flavour(Protocol):
    """What a module of this package offers."""

    TAKES_JSON: bool

    def recognises(self, model: Any, method: str | None) -> bool:
        """Whether `model` is of this kind; `method` is what shall be called of it, if that was said."""

    def recipe(self, model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
        """What is stored of `model`, with its files in `folder`. Raises `PackagingError` with what to do instead."""


def flavour_of(model: Any, method: str | None = None) -> Flavour:
    """The kind of `model`. Raises `StorageError`, which says what to do, for none that is known."""
    for name in _FLAVOURS:
        flavour = cast(Flavour, import_module(f"{__name__}.{name}"))
        if flavour.recognises(model, method):
            return flavour
    if method is not None:
        raise StorageError(f"{type(model).__name__} has no method {method!r}.")
    raise StorageError(
        f"{type(model).__name__} has neither predict nor transform and cannot be called; name what shall be called "
        "with method='…', or wrap it: def predict(inputs): return …"
    )
