"""Pipelines of Hugging Face transformers, stored as `save_pretrained` writes them: weights, tokenizer and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luml_app.packaging.errors import StorageError
from luml_app.packaging.flavours.classes import derives_from
from luml_app.packaging.flavours.pytorch import evaluated
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pickles import pickled
from luml_app.packaging.pyfuncs.readers import transformers_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "transformers_model.py"
# Where a pipeline keeps what it was made with, such as top_k=3 or max_new_tokens=20.
_PARAMETERS = ("_preprocess_params", "_forward_params", "_postprocess_params")


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a pipeline."""
    return derives_from(model, "transformers") and hasattr(model, "save_pretrained") and hasattr(model, "task")


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The folder of the pipeline, and the parameters that it was made with."""
    if method is not None:
        raise StorageError("A pipeline of transformers is called; leave out method=….")
    model.save_pretrained(str(folder / "pipeline"))
    modules = pickled(
        {name: getattr(model, name, {}) for name in _PARAMETERS},
        folder / "parameters.pkl",
        "What the pipeline was made with",
    )
    config = config_of(inputs) | {"flavour": "transformers", "task": model.task, "json": True}
    files = {file.relative_to(folder).as_posix(): file for file in (folder / "pipeline").rglob("*") if file.is_file()}
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | files | {"parameters.pkl": folder / "parameters.pkl"},
        modules=modules,
        predict=evaluated(model.model, predictor(transformers_model, model, config)),
        roots=roots_of(inputs, "transformers", "torch"),
    )
