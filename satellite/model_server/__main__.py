"""Entry: `python -m satellite.model_server …`, or `python <this folder> …` where no package is installed."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def import_as_package() -> str:
    """Register this folder as the package `luml_model_server` and return that name.

    Python puts the folder itself on `sys.path` when it is run by its path. It is taken off again: a model's own
    module called `inputs` or `app` must never find ours.
    """
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]
    name = "luml_model_server"
    init = FOLDER / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(FOLDER)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{FOLDER} is not a package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return name


def end_on_sigterm() -> None:
    """End at once when told to, until the server has handlers of its own.

    The first process of a container has no default for SIGTERM: while it imports, it would not hear the engine.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))


if __name__ == "__main__":
    end_on_sigterm()
    package = __package__ or import_as_package()
    raise SystemExit(importlib.import_module(f"{package}.command").main(sys.argv[1:]))
