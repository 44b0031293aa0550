"""The code inside a model file that was made of an MLflow model folder.

This file is stored as it stands, so it imports alone: fnnx, numpy, and what the folder's own requirements name.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from fnnx.variants.pyfunc import PyFunc


class ServedMlflowModel(PyFunc):  # type: ignore[misc]
    """The model of a folder, described by the value ``mlflow`` of the variant's configuration."""

    def warmup(self) -> None:
        """Load the model, without MLflow where its flavor allows that."""
        self._config: dict[str, Any] = self.fnnx_context.get_value("mlflow")
        self._folder = Path(__file__).with_name("extra_files") / "mlflow"
        if self._config.get("code"):
            sys.path.insert(0, str(self._folder / self._config["code"]))
        load = {"sklearn": self._load_sklearn, "xgboost": self._load_xgboost, "mlflow": self._load_mlflow}
        self._predict = load[self._config["loader"]]()

    def compute(self, inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        """Predict. `inputs` holds one entry per input of the manifest."""
        parameters = {
            name: _parameter(dynamic_attributes[name], kind)
            for name, kind in self._config["parameters"].items()
            if name in dynamic_attributes
        }
        return self._outputs(self._predict(self._native(inputs), parameters))

    async def compute_async(self, inputs: dict[str, Any], dynamic_attributes: dict[str, str]) -> dict[str, Any]:
        """The same in a thread, so that the caller's event loop goes on."""
        return await asyncio.to_thread(self.compute, inputs, dynamic_attributes)

    def _load_sklearn(self) -> Any:
        path = self._folder / self._config["file"]
        if self._config["format"] == "skops":
            import skops.io

            model = skops.io.load(path, trusted=self._config["trusted"])
        else:
            import cloudpickle

            with path.open("rb") as stream:
                model = cloudpickle.load(stream)
        predict = getattr(model, self._config["method"])
        return lambda native, parameters: predict(native)

    def _load_xgboost(self) -> Any:
        module, _, name = self._config["class"].rpartition(".")
        model = getattr(importlib.import_module(module), name)()
        model.load_model(self._folder / self._config["file"])
        if name != "Booster":
            return lambda native, parameters: model.predict(native)
        import xgboost

        return lambda native, parameters: model.predict(xgboost.DMatrix(native))

    def _load_mlflow(self) -> Any:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(self._folder))
        return lambda native, parameters: (
            model.predict(native, params=parameters) if parameters else model.predict(native)
        )

    def _native(self, inputs: dict[str, Any]) -> Any:
        """What the model takes."""
        specs = self._config["inputs"]
        if specs["container"] == "json":
            return _table(inputs["data"])
        if specs["container"] in ("tensor", "tensors"):
            arrays = {name: np.asarray(inputs[name]).astype(dtype) for name, dtype in specs["types"].items()}
            return arrays if specs["container"] == "tensors" else next(iter(arrays.values()))
        import pandas as pd

        columns = {name: _column(inputs[name], kind) for name, kind in specs["types"].items()}
        frame = pd.DataFrame(columns)
        return frame if specs["container"] == "frame" else frame.to_numpy()

    def _outputs(self, result: Any) -> dict[str, Any]:
        """The result as the manifest's outputs, by name where it has names, else in their order."""
        types = self._config["outputs"]
        if not types:
            return {"prediction": _plain(result)}
        if len(types) == 1 and not _has_names(result):
            return {name: _array(result, kind) for name, kind in types.items()}
        if _has_names(result):
            labels = {str(label): label for label in (result.columns if hasattr(result, "columns") else result)}
            by_place = list(labels.values())
            return {
                name: _array(result[labels.get(name, by_place[place])], kind)
                for place, (name, kind) in enumerate(types.items())
            }
        columns = np.asarray(result)
        return {name: _array(columns[:, place], kind) for place, (name, kind) in enumerate(types.items())}


def _has_names(result: Any) -> bool:
    return isinstance(result, dict) or (hasattr(result, "columns") and hasattr(result, "iloc"))


def _column(values: Any, kind: str) -> Any:
    """A column of a frame from an array of the request."""
    import pandas as pd

    if kind == "datetime":
        return pd.to_datetime(pd.Series(values))
    if kind == "string":
        return [None if text == "None" else str(text) for text in values]
    return values


def _table(data: Any) -> Any:
    """Records, columns by name and pandas' `split` form as a frame; anything else as it is."""
    import pandas as pd

    if isinstance(data, dict) and "data" in data and "columns" in data:
        return pd.DataFrame(data["data"], columns=data["columns"])
    if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        return pd.DataFrame(data)
    if isinstance(data, dict) and data and all(isinstance(values, list) for values in data.values()):
        return pd.DataFrame(data)
    return np.asarray(data) if isinstance(data, list) else data


def _array(values: Any, kind: str) -> Any:
    """An output as an array of the declared type."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1 and hasattr(values, "columns"):
        array = array[:, 0]
    return array.astype("str" if kind == "string" else kind)


def _plain(value: Any) -> Any:
    """An output in the words of JSON."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    return value.tolist() if hasattr(value, "tolist") else value


def _parameter(text: str, kind: str) -> Any:
    """A parameter from the text of a dynamic attribute. Raises ValueError naming what it should have been."""
    if kind == "boolean":
        return text.strip().lower() in {"true", "1", "yes"}
    make: Any = {"integer": int, "long": int, "float": float, "double": float}.get(kind, str)
    return make(text)
