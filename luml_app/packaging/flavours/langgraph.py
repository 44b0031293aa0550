"""Graphs of LangGraph, stored as the source that makes them.

A compiled graph cannot be pickled faithfully, and a pickle would hold the keys of the services that it calls. So it is
stored as a variable of a module, or as a function without parameters that returns it, which also serves notebooks.
"""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any

from luml_app.packaging.errors import SourceError, StorageError
from luml_app.packaging.flavours.classes import derives_from
from luml_app.packaging.flavours.functions import imports_of
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.modules import is_own, own_modules
from luml_app.packaging.pyfuncs.readers import langgraph_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of
from luml_app.packaging.source import Source, source_of

TAKES_JSON = True
READER = PYFUNCS / "readers" / "langgraph_model.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a compiled graph, or a function without parameters that returns one."""
    if _makes_something(model) and "langgraph" in sys.modules:
        return recognises(model(), method)
    return derives_from(model, "langgraph") and hasattr(model, "ainvoke")


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The source of the graph, with every module of the author's that it needs."""
    if method is not None:
        raise StorageError("A graph of LangGraph is invoked; leave out method=….")
    factory = _makes_something(model)
    source = source_of(model) if factory else _source_of_variable(model)
    config = config_of(inputs) | {
        "flavour": "langgraph", "module": source.module, "name": source.name, "factory": factory, "json": True,
    }  # fmt: skip
    return Recipe(
        reader=READER,
        config=config,
        modules=source.files,
        predict=predictor(langgraph_model, model() if factory else model, config),
        roots=roots_of(inputs, "langgraph") | imports_of(source),
    )


def _makes_something(model: Any) -> bool:
    return isinstance(model, types.FunctionType) and not inspect.signature(model).parameters


def _source_of_variable(graph: Any) -> Source:
    """The module of the author's that has the graph as a variable. Raises `SourceError` when there is none."""
    for module in list(sys.modules.values()):
        name = next((name for name, value in list(vars(module).items()) if value is graph), None)
        if name is not None and is_own(module.__name__):
            return Source(module.__name__, name, own_modules(module.__name__))
    raise SourceError(
        "The graph is a variable of no module of yours, so nothing says how to make it again; pass a function that "
        "makes it: def build(): …; return builder.compile()"
    )
