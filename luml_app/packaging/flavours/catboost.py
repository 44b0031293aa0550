"""Models of CatBoost, stored in its own format, which knows the classes and the categorical columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luml_app.packaging.flavours.classes import is_of
from luml_app.packaging.flavours.methods import chosen_methods, class_labels, has_method
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pyfuncs.readers import catboost_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "catboost_model.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a model of CatBoost itself; classes derived from one are pickled as estimators."""
    return is_of(model, "catboost") and has_method(model, "predict") and has_method(model, "save_model")


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The model in ``model.cbm``."""
    methods = chosen_methods(model, method)
    config = config_of(inputs) | {"flavour": "catboost", "class": type(model).__name__, "methods": methods}
    model.save_model(str(folder / "model.cbm"))
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | {"model.cbm": folder / "model.cbm"},
        predict=predictor(catboost_model, model, config),
        labels=class_labels(model, methods),
        roots=roots_of(inputs, "catboost"),
    )
