"""The tracker: what a training run logs, on the local disk at once and in the registry when it is sent.

`Run` is what is logged to; a thread of its own writes (`writer.py`), so that no training waits for a disk. A run is a
folder (`folders.py`) which outlives the process: whatever was killed is found there, and sent later.

Importing this package is light; what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luml_app.tracking.comparing import compare
    from luml_app.tracking.errors import TrackingError
    from luml_app.tracking.run import Run

_HOMES = {"Run": "run", "TrackingError": "errors", "compare": "comparing"}

__all__ = ["Run", "TrackingError", "compare"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
