"""LUML: keep, compare, deploy and watch machine-learning models.

The names of the Python API stand here; each is imported when it is first used, so that `import luml_app` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luml_app.client.http import AsyncClient, Client
    from luml_app.packaging import Experiment, read_artifact, save_dataset, save_model
    from luml_app.schemas.errors import LumlError
    from luml_app.tracking import Run, compare

_HOMES = {
    "AsyncClient": "luml_app.client.http",
    "Client": "luml_app.client.http",
    "Experiment": "luml_app.packaging",
    "LumlError": "luml_app.schemas.errors",
    "Run": "luml_app.tracking",
    "compare": "luml_app.tracking",
    "read_artifact": "luml_app.packaging",
    "save_dataset": "luml_app.packaging",
    "save_model": "luml_app.packaging",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Experiment",
    "LumlError",
    "Run",
    "compare",
    "read_artifact",
    "save_dataset",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
