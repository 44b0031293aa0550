"""Models become ``.luml`` files that load anywhere, or the save fails and says why."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.environment import declared_pins, environment, modules_outside, pins_of_modules
from luml_app.packaging.errors import LoadCheckError, MissingPackageError, PackagingError, SampleError
from luml_app.packaging.flavours import flavour_of
from luml_app.packaging.inputs import Inputs, describe, describe_json, first_rows, plain_sample, request
from luml_app.packaging.load_check import Loaded, first_difference, load_and_predict
from luml_app.packaging.outputs import as_json, describe_outputs
from luml_app.packaging.recipe import SAVED_MODEL, Recipe

# More rows than this prove little and make the check slow.
_CHECKED_ROWS = 1000
_EXAMPLE_ROWS = 5
# What the stored code imports it by; see `pyfuncs/saved_model.py`, which cannot be imported without numpy.
_READER = "luml_reader"


def save_model(
    model: Any,
    path: str | Path,
    *,
    sample: Any = None,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    metrics: Mapping[str, float] | None = None,
    dependencies: Iterable[str] | None = None,
    check: bool = True,
    data: Any = None,
    method: str | None = None,
) -> SavedArtifact:
    """Store a model in one file that a fresh interpreter loads, and that predicts there what `model` predicts here.

    `model` is of scikit-learn (or anything with ``predict``), XGBoost, LightGBM, CatBoost, PyTorch, ONNX, transformers
    or LangGraph, a function or an instance with ``__call__`` of a DataFrame, array, list or dict, or a class derived
    from fnnx's ``PyFunc``. How each kind is stored stands in the documentation's page "Models".

    `sample` holds a few rows of what the model takes; it gives the inputs their names and types, is predicted by the
    load check (its first 1,000 rows) and becomes the stored example (its first 5). `data`, the training data, may say
    more about types and missing values; without a sample its first rows are one.
    `metrics` are numbers to sort and filter by. `dependencies` replaces the pins that are found by themselves.
    `method` names what is called of an estimator instead of ``predict``. `check=False` stores without the load check.

    An estimator answers ``prediction`` and, for classifiers, ``probabilities`` of shape ``[batch, classes]`` (one for
    each target where there are several), or ``decision`` where there are none.
    Raises `PackagingError` in one of its kinds, and leaves nothing at `path`, when the model cannot be stored.
    """
    _require("fnnx", "numpy")
    path = Path(path)
    numbers = metadata.checked_metrics(metrics)
    pins = None if dependencies is None else declared_pins(dependencies)
    flavour = flavour_of(model, method)
    inputs, rows = _inputs_and_rows(plain_sample(sample), plain_sample(data), flavour.TAKES_JSON)
    with tempfile.TemporaryDirectory(prefix="luml_save_") as folder, replacing(path) as temporary:
        recipe = flavour.recipe(model, inputs, method, Path(folder))
        draft = _Draft(recipe, inputs, rows, numbers, {"name": name, "version": version, "description": description})
        draft.write(temporary, pins or [])
        pins = _checked_pins(temporary, draft, pins) if check else _unchecked_pins(recipe, pins)
        writer = draft.write(temporary, pins)
    return SavedArtifact(
        path=path,
        manifest=draft.manifest,
        file_index=writer.index,
        file_hash=writer.digest,
        size=writer.size,
        type="model",
        extra_values=numbers,
    )


def _require(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingPackageError(f"Storing models needs {' and '.join(missing)}: pip install {' '.join(missing)}.")


def _inputs_and_rows(sample: Any, data: Any, as_json: bool) -> tuple[Inputs, Any]:
    if sample is None and data is None:
        raise SampleError("Pass sample=… with a few rows of what the model takes, such as X_train.head().")
    if as_json:
        return describe_json(data if sample is None else sample), data if sample is None else sample
    inputs = describe(sample if data is None else data)
    if sample is not None and data is not None and describe(sample).names != inputs.names:
        raise SampleError("sample and data differ in their columns; pass rows of the same DataFrame, array or mapping.")
    rows = first_rows(data if sample is None else sample, _CHECKED_ROWS)
    if not _row_count(rows):
        raise SampleError("The sample has no rows; one is enough to find out the types and to check the stored model.")
    return inputs, rows


def _row_count(rows: Any) -> int | None:
    """Rows of a sample; for a mapping those of its first array, and one where it has none."""
    if isinstance(rows, dict):
        return next((len(value) for value in rows.values() if hasattr(value, "shape") or isinstance(value, list)), 1)
    return len(rows)


class _Draft:
    """A model file before its environment is known: what the original predicts, and the members that follow."""

    def __init__(
        self, recipe: Recipe, inputs: Inputs, rows: Any, metrics: dict[str, float], labels: dict[str, str | None]
    ) -> None:
        self.recipe = recipe
        self.request = request(rows, inputs)
        self._rows = rows
        self.outputs = self.predict()
        entries, dtypes = describe_outputs(self.outputs, _row_count(rows))
        self.manifest = _manifest(inputs, entries, labels)
        self._dtypes = inputs.dtypes | dtypes
        example = rows if inputs.container == "json" else first_rows(rows, _EXAMPLE_ROWS)
        self._meta = _meta(recipe, request(example, inputs), metrics)

    def predict(self) -> dict[str, Any]:
        """What the original gives for the sample. Raises `SampleError` when it raises."""
        try:
            # A copy, because a function may write into what it gets.
            return self.recipe.predict(copy.deepcopy(self._rows))
        except PackagingError:
            raise
        except Exception as error:
            raise SampleError(f"The model cannot predict the sample: {type(error).__name__}: {error}") from error

    def write(self, path: Path, pins: list[str]) -> ArchiveWriter:
        """Write the whole file, with `pins` for its environment."""
        documents = {
            "manifest.json": self.manifest,
            "variant_config.json": _variant_config(self.recipe),
            "ops.json": [],
            "dtypes.json": self._dtypes,
            "env.json": environment(pins),
            "meta.json": self._meta,
        }
        with path.open("wb") as stream, ArchiveWriter(stream) as writer:
            for name, document in documents.items():
                writer.add(name, metadata.as_document(document))
            writer.add("variant_artifacts/__pyfunc__.py", self.recipe.pyfunc or SAVED_MODEL)
            if self.recipe.reader is not None:
                writer.add(f"variant_artifacts/extra_modules/{_READER}.py", self.recipe.reader)
            for name, source in sorted(self.recipe.modules.items()):
                writer.add(f"variant_artifacts/extra_modules/{name}", source)
            for name, file in sorted(self.recipe.files.items()):
                writer.add(f"variant_artifacts/extra_files/{name}", file)
        return writer


def _manifest(inputs: Inputs, outputs: list[dict[str, Any]], labels: dict[str, str | None]) -> dict[str, Any]:
    return {
        "variant": "pyfunc",
        **labels,
        "producer_name": metadata.PRODUCER,
        "producer_version": metadata.producer_version(),
        "producer_tags": [],
        "inputs": inputs.manifest,
        "outputs": outputs,
        "dynamic_attributes": [],
        "env_vars": [],
    }


def _variant_config(recipe: Recipe) -> dict[str, Any]:
    values = None if recipe.config is None else {"luml": recipe.config}
    return {"pyfunc_classname": recipe.classname, "extra_values": values}


def _meta(recipe: Recipe, example: dict[str, Any], metrics: dict[str, float]) -> list[dict[str, Any]]:
    entries = [metadata.entry(metadata.INPUT_EXAMPLE, {"inputs": example, "dynamic_attributes": {}})]
    for output, labels in recipe.labels.items():
        entries.append(metadata.entry(metadata.CLASS_LABELS, {"output": output, "labels": labels}))
    if metrics:
        entries.append(metadata.entry(metadata.REGISTRY_METRICS, {"metrics": metrics}))
    return entries


def _checked_pins(path: Path, draft: _Draft, declared: list[str] | None) -> list[str]:
    """The environment in which the stored model predicts what the original does: `declared`, or what it needs."""
    loaded = _checked(path, draft, modules_outside(declared) if declared is not None else frozenset())
    if declared is not None:
        return declared
    pins = pins_of_modules(loaded.modules, draft.recipe.names)
    outside = modules_outside(pins)
    if outside.isdisjoint(loaded.modules):
        return pins
    try:
        _checked(path, draft, outside)
    except LoadCheckError:
        # It cannot do without something that its packages import and do not require.
        return pins_of_modules(loaded.modules, lambda module: True)
    return pins


def _checked(path: Path, draft: _Draft, barred: Iterable[str]) -> Loaded:
    """What the stored model imports. Raises `LoadCheckError` unless it predicts what the original does."""
    loaded = load_and_predict(path, draft.request, needed=draft.recipe.roots, barred=barred)
    expected = as_json(draft.outputs)
    difference = first_difference(expected, loaded.outputs)
    if difference is None:
        return loaded
    if first_difference(expected, as_json(draft.predict())) is not None:
        raise LoadCheckError(
            f"The model gives another answer each time it is asked the same ({difference}); make it deterministic, "
            "or pass check=False to store it unchecked."
        )
    raise LoadCheckError(f"The stored model predicts something else than the original. {difference}.")


def _unchecked_pins(recipe: Recipe, declared: list[str] | None) -> list[str]:
    warnings.warn(
        "The model is stored unchecked: whether it loads on another machine will show only there.", stacklevel=3
    )
    return pins_of_modules(dict.fromkeys(recipe.roots, ""), recipe.names) if declared is None else declared
