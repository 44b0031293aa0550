"""Boosters of LightGBM, stored in its own text format.

Its wrappers for scikit-learn have no format of their own and are pickled as estimators; what is pickled of them is the
same text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luml_app.packaging.errors import StorageError
from luml_app.packaging.flavours.classes import is_of
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pyfuncs.readers import lightgbm_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "lightgbm_model.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a booster of LightGBM."""
    return is_of(model, "lightgbm") and type(model).__name__ == "Booster"


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The model in ``model.txt``, up to its best iteration if it has one."""
    if (method or "predict") != "predict":
        raise StorageError("A Booster of LightGBM is asked by predict; leave out method=….")
    config = config_of(inputs) | {"flavour": "lightgbm"}
    model.save_model(folder / "model.txt")
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | {"model.txt": folder / "model.txt"},
        predict=predictor(lightgbm_model, model, config),
        roots=roots_of(inputs, "lightgbm"),
    )
