"""Classes derived from fnnx's ``PyFunc``: their module becomes the code of the model file as it is."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any

from luml_app.packaging.errors import SampleError
from luml_app.packaging.flavours.functions import imports_of
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.recipe import Recipe
from luml_app.packaging.source import Source, source_of

TAKES_JSON = False


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is such a class."""
    ancestors = model.__mro__ if isinstance(model, type) else ()
    return any(cls.__name__ == "PyFunc" and cls.__module__.startswith("fnnx.") for cls in ancestors)


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The source of the class, with every module of the author's that it needs."""
    if inputs.container != "dict":
        raise SampleError("The sample of a PyFunc class is a dict of its inputs, as a compute request has them.")
    source = source_of(model)
    own = f"{source.module.replace('.', '/')}.py"
    modules = {path: text for path, text in source.files.items() if path != own}
    text = source.files.get(own) or Path(inspect.getfile(model)).read_bytes()
    return Recipe(
        classname=model.__name__,
        pyfunc=text,
        modules=modules,
        predict=lambda sample: _run(model, sample, inputs),
        roots={"fnnx", "numpy"} | imports_of(Source(source.module, source.name, {**modules, own: text})),
    )


def _run(cls: Any, sample: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    """The outputs of a ready-made class for arrays such as fnnx hands over."""
    import numpy as np
    from fnnx.variants.pyfunc import Context

    with tempfile.TemporaryDirectory(prefix="luml_pyfunc_") as folder:
        instance = cls(Context(folder, {}, None, "cpu"))
        instance.warmup()
        outputs = instance.compute(_typed(sample, inputs), {})
    return {name: np.asarray(value) if isinstance(value, list) else value for name, value in outputs.items()}


def _typed(sample: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    import numpy as np

    typed = {}
    for entry, value in zip(inputs.manifest, sample.values(), strict=True):
        element = entry["dtype"].removeprefix("Array[").removesuffix("]")
        is_array = entry["content_type"] == "NDJSON"
        typed[entry["name"]] = (
            np.asarray(value).astype("str" if element == "string" else element) if is_array else value
        )
    return typed
