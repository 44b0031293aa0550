"""Boosters of XGBoost and its wrappers for scikit-learn, stored in XGBoost's own format: no code in it, any version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luml_app.packaging.errors import StorageError
from luml_app.packaging.flavours.classes import is_of
from luml_app.packaging.flavours.methods import chosen_methods, class_labels, has_method
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pyfuncs.readers import xgboost_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "xgboost_model.py"
# What decides about predictions and is not in the file of a wrapper.
_PARAMETERS = ("missing", "enable_categorical")


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a booster or a wrapper of XGBoost itself; classes derived from one are pickled as estimators."""
    return is_of(model, "xgboost") and has_method(model, "predict") and has_method(model, "save_model")


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The model in ``model.ubj``."""
    name = type(model).__name__
    if name == "Booster" and (method or "predict") != "predict":
        raise StorageError("A Booster of XGBoost is asked by predict; leave out method=….")
    methods = {} if name == "Booster" else chosen_methods(model, method)
    parameters = {} if name == "Booster" else {key: getattr(model, key) for key in _PARAMETERS}
    if parameters.get("missing") != parameters.get("missing"):
        del parameters["missing"]  # NaN is what XGBoost takes for missing by itself, and JSON has no word for it
    config = config_of(inputs) | {"flavour": "xgboost", "class": name, "methods": methods, "parameters": parameters}
    model.save_model(folder / "model.ubj")
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | {"model.ubj": folder / "model.ubj"},
        predict=predictor(xgboost_model, model, config),
        labels=class_labels(model, methods),
        roots=roots_of(inputs, "xgboost", *(() if name == "Booster" else ("sklearn",))),
    )
