"""Fitted estimators, pipelines and transformers of scikit-learn, and whatever has their methods.

They are pickled: scikit-learn has no format of its own. Classes and functions of the author's in them go along as
source. Wrappers of other libraries inside a pipeline are pickled with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luml_app.packaging.flavours.methods import chosen_methods, class_labels, has_method
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pickles import pickled
from luml_app.packaging.pyfuncs.readers import estimator
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "estimator.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it has the method that was named, ``predict`` or ``transform``."""
    if isinstance(model, type):
        return False
    return has_method(model, method) if method else has_method(model, "predict") or has_method(model, "transform")


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The pickled model, with the author's own code that it needs."""
    methods = chosen_methods(model, method)
    config = config_of(inputs) | {"flavour": "estimator", "methods": methods}
    modules = pickled(model, folder / "model.pkl", "The model")
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | {"model.pkl": folder / "model.pkl"},
        modules=modules,
        predict=predictor(estimator, model, config),
        labels=class_labels(model, methods),
        roots=roots_of(inputs, type(model).__module__.split(".")[0]),
    )
