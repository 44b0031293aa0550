"""What is stored of a model, and the parts of it that all flavours share."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pickles import pickled

PYFUNCS = Path(__file__).with_name("pyfuncs")
SAVED_MODEL = PYFUNCS / "saved_model.py"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a model.

    `files` and `modules` go below ``extra_files`` and ``extra_modules``; `config` is the stored model's configuration;
    `reader` is the file that loads and asks it there; `predict` gives the original's outputs for a sample; `labels`
    are the classes behind each output of probabilities, in their order; `roots` are top-level modules that the model
    needs for sure. `pyfunc` is the model file's code (the class `classname`) where that is the author's.
    """

    predict: Callable[[Any], dict[str, Any]]
    roots: set[str]
    classname: str = "SavedModel"
    pyfunc: bytes | None = None
    reader: Path | None = None
    config: dict[str, Any] | None = None
    files: dict[str, Path] = {}
    modules: dict[str, bytes] = {}
    labels: dict[str, list[Any]] = {}

    def names(self, module: str) -> bool:
        """Whether the stored model names a top-level module: in its sources, or in what is pickled."""
        own_code = [self.pyfunc] if self.pyfunc else []
        # In a pickle the byte before a name is its length, which may look like a letter; a mark stands before that.
        word = rb"(?:(?<!\w)|(?<=\x8c.))%s(?!\w)" % re.escape(module.encode())
        pattern = re.compile(word, re.DOTALL)
        if module in self.roots or any(pattern.search(text) for text in [*self.modules.values(), *own_code]):
            return True
        return any(_file_has(pattern, file) for name, file in self.files.items() if name.endswith(".pkl"))


def config_of(inputs: Inputs) -> dict[str, Any]:
    """What the stored model has to know about its inputs."""
    return {"format": 2, "container": inputs.container, "inputs": inputs.specs}


def template_file(inputs: Inputs, folder: Path) -> dict[str, Path]:
    """The empty DataFrame from which requests become columns of the right types, where the model takes one."""
    if inputs.template is None:
        return {}
    path = folder / "template.pkl"
    pickled(inputs.template, path, "The sample's columns")
    return {"template.pkl": path}


def roots_of(inputs: Inputs, *more: str) -> set[str]:
    """Modules that every stored model needs for its inputs, and `more` of its own."""
    return {"fnnx", "numpy", *more} | ({"pandas"} if inputs.template is not None else set())


def predictor(reader: Any, model: Any, config: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """How the original predicts: by the very code with which `reader` will ask the stored one."""
    from luml_app.packaging.pyfuncs.saved_model import outputs_of

    return lambda sample: outputs_of(reader.predict(model, sample, config), config)


def _file_has(pattern: re.Pattern[bytes], file: Path) -> bool:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pattern.search(content) is not None
