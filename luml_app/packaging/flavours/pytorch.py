"""Modules of PyTorch, stored as programs of `torch.export`.

Such a program needs neither the author's code nor a pickle to be loaded, and its first dimension stays free. A module
that cannot be exported, since what it does depends on the values that it gets, is pickled with the author's code beside
it. TorchScript stays what it is. All are stored for the processor and in evaluation mode.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging.errors import StorageError
from luml_app.packaging.flavours.classes import derives_from
from luml_app.packaging.inputs import Inputs
from luml_app.packaging.pickles import pickled
from luml_app.packaging.recipe import PYFUNCS, Recipe, config_of, predictor, roots_of, template_file

TAKES_JSON = False
READER = PYFUNCS / "readers" / "torch_model.py"
# A dimension of 0 or 1 would be taken for one that never changes.
_TRACED_ROWS = 2
_log = logging.getLogger(__name__)


def recognises(model: Any, method: str | None) -> bool:
    """Whether it is a module."""
    return derives_from(model, "torch") and hasattr(model, "state_dict") and callable(model)


def recipe(model: Any, inputs: Inputs, method: str | None, folder: Path) -> Recipe:
    """The module as a program, script or pickle."""
    from luml_app.packaging.pyfuncs.readers import torch_model

    if (method or "forward") != "forward":
        raise StorageError("A module of PyTorch is called; leave out method=…, or wrap the method in a module.")
    model = _on_processor(model)
    config = config_of(inputs) | {"flavour": "pytorch", "element": _element(model)}
    with evaluating(model):
        stored = _stored(model, inputs, config["element"], folder)
    return Recipe(
        reader=READER,
        config=config | {"form": stored.form},
        files=template_file(inputs, folder) | {stored.file: folder / stored.file},
        modules=stored.modules,
        predict=evaluated(model, predictor(torch_model, model, config)),
        roots=roots_of(inputs, "torch"),
    )


def evaluated(model: Any, predict: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """`predict` with the module in evaluation mode, as it will be served."""

    def predicted(sample: Any) -> dict[str, Any]:
        with evaluating(model):
            return predict(sample)

    return predicted


class _Stored(msgspec.Struct, frozen=True):
    """The file of a module, how that is loaded, and the author's code that this needs."""

    form: str
    file: str
    modules: dict[str, bytes] = {}


def _on_processor(model: Any) -> Any:
    tensors = [*model.parameters(), *model.buffers()]
    return model if all(one.device.type == "cpu" for one in tensors) else copy.deepcopy(model).cpu()


def _element(model: Any) -> str:
    """The type of the module's first parameter with fractions, such as ``float32``."""
    found = (one.dtype for one in model.parameters() if one.is_floating_point())
    return str(next(found, "torch.float32")).removeprefix("torch.")


def _stored(model: Any, inputs: Inputs, element: str, folder: Path) -> _Stored:
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, str(folder / "model.pt"))
        return _Stored("script", "model.pt")
    if _exported(model, inputs, element, folder / "model.pt2"):
        return _Stored("exported", "model.pt2")
    return _Stored("pickled", "model.pkl", pickled(model, folder / "model.pkl", "The module"))


def _exported(model: Any, inputs: Inputs, element: str, path: Path) -> bool:
    """Write the module as a program; whether that could be done. What stands against it may be any kind of error."""
    import torch

    positional, named = _traced(inputs, element)
    if positional is None:
        return False
    batch = {0: torch.export.Dim.DYNAMIC}
    shapes = (*(batch for _ in positional), *(batch for _ in named))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            program = torch.export.export(model, positional, named, dynamic_shapes=shapes)
            torch.export.save(program, path)
    except Exception as error:
        _log.info("%s is pickled, since torch.export cannot export it: %s", type(model).__name__, error)
        return False
    return True


def _traced(inputs: Inputs, element: str) -> tuple[tuple[Any, ...] | None, dict[str, Any]]:
    """What the module is called with while it is traced, where that is tensors only."""
    import torch

    if inputs.container in ("frame", "series"):
        return (torch.zeros(_TRACED_ROWS, len(inputs.specs), dtype=getattr(torch, element)),), {}
    if any(spec["kind"] not in ("float", "int", "bool") for spec in inputs.specs):
        return None, {}
    types = [element if spec["kind"] == "float" else spec["dtype"] for spec in inputs.specs]
    tensors = [
        torch.zeros(_TRACED_ROWS, *spec["shape"][1:], dtype=getattr(torch, name))
        for spec, name in zip(inputs.specs, types, strict=True)
    ]
    if inputs.container == "dict":
        return (), {spec["name"]: tensor for spec, tensor in zip(inputs.specs, tensors, strict=True)}
    return (tensors[0],), {}


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The module in evaluation mode (no dropout, fixed normalisation), and afterwards as it was."""
    modes = [(part, part.training) for part in model.modules() if part.training]
    if modes:
        model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
