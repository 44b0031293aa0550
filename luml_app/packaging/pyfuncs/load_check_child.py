"""Runs in the fresh interpreter of the load check: ``load_check_child.py <model> <request.json> <answer.json>``."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any


def check(model: str, inputs: dict[str, Any], needed: list[str], barred: list[str]) -> dict[str, Any]:
    """Load `model`, predict, and tell the outputs and the top-level modules that this imported.

    Modules that are `needed` for sure are among them whoever imported them; those that are `barred` are not there.
    """
    sys.meta_path.insert(0, Barred(frozenset(barred)))
    from fnnx.stable.v1 import Runtime

    # What fnnx imports by itself, such as a nicer console, is not what the model needs.
    before = set(sys.modules) - set(needed)
    runtime = Runtime(model)
    outputs = runtime.compute(inputs, {})
    folder = runtime.handler.model_path
    return {
        "outputs": {name: value.tolist() if hasattr(value, "tolist") else value for name, value in outputs.items()},
        "modules": _imported(before, folder),
    }


class Barred:
    """Hides top-level modules from the import system: another machine will not have them."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise for a module that is hidden, and leave every other one to the next finder."""
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _imported(before: set[str], model_folder: str) -> dict[str, str]:
    found = {}
    for name, module in list(sys.modules.items()):
        # The name under which fnnx imports the model's own code is made up for each load.
        if name in before or "." in name or name.startswith("temp_module_"):
            continue
        file = getattr(module, "__file__", None) or ""
        # joblib lists this very file a second time, as `__mp_main__`.
        if name not in sys.stdlib_module_names and not file.startswith(model_folder) and file != __file__:
            found[name] = file
    return found


def main(model: str, request: str, answer: str) -> None:
    """Write the answer, or the error that prevented it, as JSON."""
    # fnnx unpacks the model here: gone with the folder of the check, even when the model kills this process.
    tempfile.tempdir = str(Path(answer).parent)
    try:
        result = check(model, **json.loads(Path(request).read_text()))
    except BaseException as error:
        result = {"error": "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]}
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:4])
