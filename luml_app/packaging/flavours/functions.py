"""Functions, callable classes and instances of them: their source is stored, and the state of an instance."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

from luml_app.packaging.inputs import Inputs
from luml_app.packaging.modules import imported_by
from luml_app.packaging.pickles import pickled
from luml_app.packaging.pyfuncs.readers import function
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file
from luml_app.packaging.source import Source, source_of

TAKES_JSON = False
READER = PYFUNCS / "readers" / "function.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it can be called."""
    return method is None and callable(model)


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The source of the function or class, with every module of the author's that it needs."""
    is_instance = not isinstance(model, types.FunctionType | type)
    source = source_of(type(model) if is_instance and _is_plain_instance(model) else model)
    config = config_of(inputs) | {"flavour": "function", "module": source.module, "name": source.name}
    files, modules = template_file(inputs, folder), source.files
    if is_instance:
        config["instance"] = True
        files["state.pkl"] = folder / "state.pkl"
        what = f"The state of {type(model).__name__}"
        modules = modules | pickled(model.__getstate__(), files["state.pkl"], what, owner=type(model))
    return Recipe(
        reader=READER,
        config=config,
        files=files,
        modules=modules,
        predict=predictor(function, model() if isinstance(model, type) else model, config),
        roots=roots_of(inputs) | imports_of(source),
    )


def imports_of(source: Source) -> set[str]:
    """Top-level modules that the stored source imports, and its own."""
    return {name for text in source.files.values() for name in imported_by(text.decode())} | {
        source.module.split(".")[0]
    }


def _is_plain_instance(model: Any) -> bool:
    """Whether the class is the author's: partials, bound methods and builtins have no source to take."""
    return not isinstance(model, types.BuiltinFunctionType | types.MethodType) and type(model).__module__ != "functools"
