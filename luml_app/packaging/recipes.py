"""How each kind of model is stored: the files it becomes, and how the original predicts.

An estimator is pickled, a function or callable class is shipped as source, a ready-made fnnx `PyFunc` is stored as is.
"""

from __future__ import annotations

import mmap
import pickle
import re
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging.errors import SampleError, StorageError
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.source import Source, source_of

SAVED_MODEL = Path(__file__).with_name("pyfuncs") / "saved_model.py"


class Recipe(msgspec.Struct, frozen=True):
    """What is stored of a model.

    `files` and `modules` go below ``extra_files`` and ``extra_modules``; `config` is the stored model's configuration;
    `predict` gives the original's outputs for a sample; `labels` are a classifier's classes, in the order of its
    probabilities; `roots` are top-level modules that the model needs for sure.
    """

    classname: str
    pyfunc: bytes
    config: dict[str, Any] | None
    files: dict[str, Path]
    modules: dict[str, bytes]
    predict: Callable[[Any], dict[str, Any]]
    labels: list[Any] | None
    roots: set[str]

    def names(self, module: str) -> bool:
        """Whether the stored model names a top-level module: in its sources, or in what is pickled."""
        own_code = [] if self.config else [self.pyfunc]
        # In a pickle the byte before a name is its length, which may look like a letter; a mark stands before that.
        word = rb"(?:(?<!\w)|(?<=\x8c.))%s(?!\w)" % re.escape(module.encode())
        pattern = re.compile(word, re.DOTALL)
        if module in self.roots or any(pattern.search(text) for text in [*self.modules.values(), *own_code]):
            return True
        return any(_file_has(pattern, file) for file in self.files.values())


def recipe_for(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """Choose by what `model` is; pickles are written to `folder`. Raises `PackagingError` with what to do instead."""
    from fnnx.variants.pyfunc import PyFunc

    if isinstance(model, type) and issubclass(model, PyFunc):
        return _pyfunc_recipe(model, inputs)
    chosen = method or next((name for name in ("predict", "transform") if _has_method(model, name)), None)
    if chosen and not isinstance(model, type) and _has_method(model, chosen):
        return _estimator_recipe(model, inputs, chosen, folder)
    if method is not None:
        raise StorageError(f"{type(model).__name__} has no method {method!r}.")
    if callable(model):
        return _function_recipe(model, inputs, folder)
    raise StorageError(
        f"{type(model).__name__} has neither predict nor transform and cannot be called; name what shall be called "
        "with method='…', or wrap it: def predict(inputs): return …"
    )


def _file_has(pattern: re.Pattern[bytes], file: Path) -> bool:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pattern.search(content) is not None


def _has_method(model: Any, name: str) -> bool:
    return callable(getattr(model, name, None))


def _estimator_recipe(model: Any, inputs: Inputs, method: str, folder: Path) -> Recipe:
    config = _config(inputs) | {
        "model": "estimator",
        "method": method,
        # Of a multi-output classifier the probabilities are a list of arrays, which one output cannot hold.
        "probabilities": method == "predict" and _has_method(model, "predict_proba") and not _has_many_outputs(model),
    }
    labels = getattr(model, "classes_", None) if config["probabilities"] else None
    return Recipe(
        classname="SavedModel",
        pyfunc=SAVED_MODEL.read_bytes(),
        config=config,
        files=_template_file(inputs, folder) | {"model.pkl": _pickled(model, folder / "model.pkl", "The model")},
        modules={},
        predict=_predictor(model, config),
        labels=None if labels is None else labels.tolist(),
        roots=_roots(inputs) | {type(model).__module__.split(".")[0]},
    )


def _has_many_outputs(model: Any) -> bool:
    return isinstance(getattr(model, "classes_", None), list)


def _function_recipe(model: Any, inputs: Inputs, folder: Path) -> Recipe:
    is_instance = not isinstance(model, types.FunctionType | type)
    source = source_of(type(model) if is_instance and _is_plain_instance(model) else model)
    config = _config(inputs) | {"model": "function", "module": source.module, "name": source.name}
    files = _template_file(inputs, folder)
    if is_instance:
        config["instance"] = True
        files["state.pkl"] = _pickled(
            model.__getstate__(), folder / "state.pkl", f"The state of {type(model).__name__}"
        )
    return Recipe(
        classname="SavedModel",
        pyfunc=SAVED_MODEL.read_bytes(),
        config=config,
        files=files,
        modules=source.files,
        predict=_predictor(model() if isinstance(model, type) else model, config),
        labels=None,
        roots=_roots(inputs) | _imports_of(source),
    )


def _is_plain_instance(model: Any) -> bool:
    """Whether the class is the author's: partials, bound methods and builtins have no source to take."""
    return not isinstance(model, types.BuiltinFunctionType | types.MethodType) and type(model).__module__ != "functools"


def _pyfunc_recipe(cls: Any, inputs: Inputs) -> Recipe:
    if inputs.container != "dict":
        raise SampleError("The sample of a PyFunc class is a dict of its inputs, as a compute request has them.")
    source = source_of(cls)
    own = f"{source.module.replace('.', '/')}.py"
    modules = {path: text for path, text in source.files.items() if path != own}
    text = source.files.get(own) or _installed_source(cls)
    return Recipe(
        classname=cls.__name__,
        pyfunc=text,
        config=None,
        files={},
        modules=modules,
        predict=lambda sample: _run_pyfunc(cls, sample, inputs),
        labels=None,
        roots={"fnnx", "numpy"} | _imports_of(Source(source.module, source.name, {**modules, own: text})),
    )


def _installed_source(cls: type) -> bytes:
    import inspect

    return Path(inspect.getfile(cls)).read_bytes()


def _run_pyfunc(cls: Any, sample: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
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


def _config(inputs: Inputs) -> dict[str, Any]:
    return {"format": 1, "container": inputs.container, "inputs": inputs.specs}


def _predictor(model: Any, config: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    from luml_app.packaging.pyfuncs.saved_model import predict

    return lambda sample: predict(model, sample, config)


def _template_file(inputs: Inputs, folder: Path) -> dict[str, Path]:
    if inputs.template is None:
        return {}
    return {"template.pkl": _pickled(inputs.template, folder / "template.pkl", "The sample's columns")}


def _pickled(value: Any, path: Path, what: str) -> Path:
    try:
        with path.open("wb") as stream:
            pickle.dump(value, stream, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{what} cannot be pickled: {error}. Replace lambdas, local functions, locks and open files in it by "
            "functions of a module, or pass a function that builds what it needs."
        ) from error
    return path


def _roots(inputs: Inputs) -> set[str]:
    return {"fnnx", "numpy"} | ({"pandas"} if inputs.template is not None else set())


def _imports_of(source: Source) -> set[str]:
    from luml_app.packaging.modules import imported_by

    return {name for text in source.files.values() for name in imported_by(text.decode())} | {
        source.module.split(".")[0]
    }
