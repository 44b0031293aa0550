"""Graphs of ONNX: a ``ModelProto``, or the path of a ``.onnx`` file; run by ONNX Runtime."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from luml_app.packaging.errors import MissingPackageError, StorageError
from luml_app.packaging.flavours.classes import is_of
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pyfuncs.readers import onnx_model
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "onnx_model.py"


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a graph."""
    if isinstance(model, str | Path):
        return str(model).endswith(".onnx")
    return is_of(model, "onnx") and type(model).__name__ == "ModelProto"


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The graph in ``model.onnx``."""
    if method is not None:
        raise StorageError("A graph of ONNX has no methods; leave out method=….")
    if find_spec("onnxruntime") is None:
        raise MissingPackageError("Storing graphs of ONNX needs onnxruntime: pip install onnxruntime.")
    path = folder / "model.onnx"
    _write(model, path)
    config = config_of(inputs) | {"flavour": "onnx"}
    try:
        session = onnx_model.load(lambda name: folder / name, config)
    except Exception as error:
        raise StorageError(f"ONNX Runtime does not load the graph: {error}") from error
    return Recipe(
        reader=READER,
        config=config,
        files=template_file(inputs, folder) | {path.name: path},
        predict=predictor(onnx_model, session, config),
        roots=roots_of(inputs, "onnxruntime"),
    )


def _write(model: Any, path: Path) -> None:
    if isinstance(model, str | Path):
        shutil.copyfile(model, path)
    else:
        path.write_bytes(model.SerializeToString())
