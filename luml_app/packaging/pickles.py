"""Pickles that take the author's own code along: modules of theirs, and what was written in a notebook or script."""

from __future__ import annotations

import importlib
import pickle
import types
from pathlib import Path
from typing import Any

from luml_app.packaging.errors import StorageError
from luml_app.packaging.modules import is_own, own_modules
from luml_app.packaging.source import CODE_MODULE, Extract


def pickled(value: Any, path: Path, what: str, owner: type | None = None) -> dict[str, bytes]:
    """Pickle `value` to `path`; the sources that must be importable where it is loaded (path to import → text).

    `owner` is a class that is not pickled itself but whose source has to be there, too. Raises `StorageError` naming
    `what` when it cannot be pickled, and `SourceError` for code whose source is not known.
    """
    try:
        with path.open("wb") as stream:
            pickler = _Pickler(stream)
            if owner is not None:
                pickler.reducer_override(owner)
            pickler.dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{what} cannot be pickled: {error}. Replace lambdas, local functions, locks and open files in it by "
            "functions of a module, or pass a function that builds what it needs."
        ) from error
    return pickler.sources()


class _Pickler(pickle.Pickler):
    """Notes the own modules that are named, and lets definitions of ``__main__`` be found in a module of their own."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream, protocol=5)
        self._modules: dict[str, bytes] = {}
        self._extract = Extract()

    def sources(self) -> dict[str, bytes]:
        """All that has been noted."""
        return self._modules | self._extract.sources()

    def reducer_override(self, value: Any) -> Any:
        """How a class or function is named in the pickle; everything else is left to `pickle`."""
        if not isinstance(value, type | types.FunctionType) or value.__module__ is None:
            return NotImplemented
        if value.__module__ == "__main__" or (is_own(value.__module__) and "<locals>" in value.__qualname__):
            self._extract.define(value)
            return getattr, (_CodeModule(), value.__name__)
        if is_own(value.__module__):
            self._modules |= own_modules(value.__module__)
        return NotImplemented


class _CodeModule:
    """Stands for the module of extracted definitions, which exists only where the model is loaded."""

    def __reduce__(self) -> Any:
        return importlib.import_module, (CODE_MODULE,)
