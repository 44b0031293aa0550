"""The model in memory: loaded once, in a thread, with a state that says how that went."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .typed import Reader, reader_of

if TYPE_CHECKING:
    from .loaders import Compute

TRACEBACK_LINES = 20


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to compute, with its manifest and its own types (`ext::name` → JSON Schema).

    `run` and `read` are shorter ways, where there are some: to the model's code, and from a well-formed JSON body.
    """

    runtime: Any
    manifest: dict[str, Any]
    dtypes: dict[str, Any] = field(default_factory=dict)
    run: Compute | None = None
    read: Reader | None = None

    def check_json(self, dtype: str, value: Any) -> None:
        """Raise unless the value fits the JSON Schema of `dtype`."""
        self.runtime.handler.dtypes_manager.validate_jsonschema(dtype, value)

    def check_elements(self, dtype: str, value: Any) -> None:
        """Raise unless every element of the nested list fits `dtype`."""
        self.runtime.handler.dtypes_manager.validate_dtype(dtype, value)

    def compute(self, inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        """Run the model on inputs that have been checked; whatever the model raises passes through."""
        result: dict[str, Any] = (self.run or self.runtime.compute)(inputs, dynamic_attributes)
        return result


class ModelSlot:
    """Holds the model while it is `loading`, when it is `ready`, or why it `failed`."""

    def __init__(self) -> None:
        self.state = "loading"
        self.error: str | None = None
        self._model: LoadedModel | None = None

    @property
    def model(self) -> LoadedModel | None:
        """The model, once it is ready."""
        return self._model

    def load_in_background(self, path: Path) -> threading.Thread:
        """Start loading; the thread is a daemon so that a model stuck in loading cannot hold up a stop."""
        thread = threading.Thread(target=self.load, args=(path,), name="load-model", daemon=True)
        thread.start()
        return thread

    def load(self, path: Path) -> None:
        """Load the model, or keep the last lines of why not."""
        try:
            self._model = load(path)
        # A model's code may raise anything, SystemExit included; the server lives on to tell of it.
        except BaseException as error:
            traceback.print_exc(file=sys.stderr)
            lines = "".join(traceback.format_exception(error)).splitlines()
            self.fail("\n".join(lines[-TRACEBACK_LINES:]))
        else:
            # What is there now stays: the collector need not look at it again with every large request.
            gc.collect()
            gc.freeze()
            self.state = "ready"

    def fail(self, error: str) -> None:
        """There will be no model, and why."""
        self.error = error
        self.state = "failed"


def load(path: Path) -> LoadedModel:
    """Open a `.luml` file or its folder with fnnx."""
    from fnnx.stable.v1 import Runtime

    from .loaders import direct

    runtime = Runtime(str(path.resolve()))
    handler = runtime.handler
    dtypes = handler.dtypes_manager.dtypes
    return LoadedModel(runtime, handler.manifest, dtypes, direct(handler), reader_of(handler.manifest))
