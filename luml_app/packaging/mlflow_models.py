"""Model folders of MLflow, as model files: what their `MLmodel` says in the words of our manifest.

The folder itself is stored as it is, below `variant_artifacts/extra_files/mlflow/`. Estimators of scikit-learn and
XGBoost are loaded from it without MLflow, whose import alone takes seconds; everything else goes through its pyfunc.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from luml_app.packaging import metadata
from luml_app.packaging.archive import ArchiveWriter, replacing
from luml_app.packaging.artifact import SavedArtifact
from luml_app.packaging.errors import PackagingError

MLMODEL = "MLmodel"
FOLDER = "variant_artifacts/extra_files/mlflow"
PYFUNC = Path(__file__).with_name("pyfuncs") / "mlflow_model.py"
_PYFUNC_MEMBER = "variant_artifacts/__pyfunc__.py"
_COLUMNS = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": "string", "datetime": "string",
}  # fmt: skip
_KINDS = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}
_ANY = "ext::any"
_REQUIREMENT = re.compile(r"[A-Za-z0-9]")

Read = Callable[[str], bytes | None]


class MlflowModel(msgspec.Struct, frozen=True):
    """What one folder becomes: `documents` are the members to write beside the folder's own files."""

    documents: dict[str, bytes]
    manifest: dict[str, Any]


def save_mlflow_model(
    folder: str | Path,
    path: str | Path,
    *,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    metrics: dict[str, float] | None = None,
) -> SavedArtifact:
    """Store a model folder of MLflow (it holds `MLmodel`) as a model file that satellites serve.

    Inputs and outputs come from its signature: one array for each column or tensor, with the first dimension
    ``batch``; without a signature, the one JSON input ``data`` takes records, a mapping of columns, or rows.
    Parameters of the signature become dynamic attributes. The environment is that of its `requirements.txt`, else of
    its `conda.yaml`. Raises `PackagingError` when the folder is no model, or cannot be understood.
    """
    folder, path = Path(folder), Path(path)
    numbers = metadata.checked_metrics(metrics)
    labels = {"name": name or folder.name, "version": version, "description": description}
    converted = convert(lambda member: _read(folder / member), labels, numbers)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    with replacing(path) as temporary, temporary.open("wb") as stream, ArchiveWriter(stream) as writer:
        for member, content in converted.documents.items():
            writer.add(member, content)
        for file in files:
            writer.add(f"{FOLDER}/{file.relative_to(folder).as_posix()}", file)
    return SavedArtifact(
        path=path,
        manifest=converted.manifest,
        file_index=writer.index,
        file_hash=writer.digest,
        size=writer.size,
        type="model",
        extra_values=numbers,
    )


def convert(
    read: Read, labels: dict[str, str | None] | None = None, metrics: dict[str, float] | None = None
) -> MlflowModel:
    """The members that make a folder a model file; `read` gives a file of it, or None. Raises `PackagingError`."""
    model = _document(read, MLMODEL)
    flavors = model.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise PackagingError("The MLflow model has no flavors in its MLmodel, so nothing says how it is loaded.")
    signature = model.get("signature") or {}
    inputs, specs = _inputs(_schema(signature, "inputs"))
    outputs, results = _outputs(_schema(signature, "outputs"))
    parameters = _schema(signature, "params") or []
    config = _loader(flavors) | {
        "inputs": specs,
        "outputs": results,
        "parameters": {one["name"]: one["type"] for one in parameters},
    }
    manifest = {
        "variant": "pyfunc",
        **{"name": None, "version": None, "description": None, **(labels or {})},
        "producer_name": metadata.PRODUCER,
        "producer_version": metadata.producer_version(),
        "producer_tags": [],
        "inputs": inputs,
        "outputs": outputs,
        "dynamic_attributes": [
            {"name": one["name"], "description": f"{one['type']}, {one.get('default')!r} by default", "tags": []}
            for one in parameters
        ],
        "env_vars": [],
    }
    entries = [metadata.entry(metadata.REGISTRY_METRICS, {"metrics": metrics})] if metrics else []
    documents: dict[str, Any] = {
        "manifest.json": manifest,
        "variant_config.json": {"pyfunc_classname": "ServedMlflowModel", "extra_values": {"mlflow": config}},
        "ops.json": [],
        "dtypes.json": {_ANY: {}},
        "env.json": _environment(read, model, config["loader"]),
        "meta.json": entries,
    }
    written = {name: metadata.as_document(document) for name, document in documents.items()}
    return MlflowModel(written | {_PYFUNC_MEMBER: PYFUNC.read_bytes()}, manifest)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _document(read: Read, name: str) -> dict[str, Any]:
    """A YAML file of the folder."""
    content = read(name)
    if content is None:
        raise PackagingError(f"The folder is no MLflow model: {name} is missing.")
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise PackagingError(f"{name} of the MLflow model is not YAML: {error}.") from error
    if not isinstance(document, dict):
        raise PackagingError(f"{name} of the MLflow model is not a mapping.")
    return document


def _schema(signature: Any, part: str) -> list[dict[str, Any]] | None:
    """A part of the signature: JSON inside of the YAML; None where there is none."""
    given = signature.get(part) if isinstance(signature, dict) else None
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError as error:
        raise PackagingError(f"The signature's {part} in MLmodel are not JSON: {error}.") from error
    if not found:
        return None
    if not isinstance(found, list) or not all(isinstance(one, dict) and "type" in one for one in found):
        raise PackagingError(f"The signature's {part} in MLmodel are not a list of columns or tensors.")
    return found


def _loader(flavors: dict[str, Any]) -> dict[str, Any]:
    """How the model is loaded: `sklearn` and `xgboost` directly, all else by MLflow."""
    pyfunc = flavors.get("python_function") or {}
    code = pyfunc.get("code")
    sklearn, xgboost = flavors.get("sklearn"), flavors.get("xgboost")
    if sklearn and sklearn.get("serialization_format") in {"pickle", "cloudpickle", "skops"}:
        return {
            "loader": "sklearn", "file": sklearn["pickled_model"], "format": sklearn["serialization_format"],
            "trusted": sklearn.get("skops_trusted_types") or [], "method": pyfunc.get("predict_fn") or "predict",
            "code": code,
        }  # fmt: skip
    if xgboost and xgboost.get("data") and xgboost.get("model_class"):
        return {"loader": "xgboost", "file": xgboost["data"], "class": xgboost["model_class"], "code": code}
    if not pyfunc:
        raise PackagingError(
            f"The MLflow model has only the flavors {', '.join(flavors)}; it needs python_function to be served."
        )
    return {"loader": "mlflow"}


def _inputs(schema: list[dict[str, Any]] | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The manifest's inputs, and what the pyfunc has to make of them."""
    if schema is None or not all(_is_array(one) for one in schema):
        return [_json("data")], {"container": "json"}
    names = [one.get("name") or ("x" if len(schema) == 1 else f"x{place}") for place, one in enumerate(schema)]
    entries = [_entry(name, one) for name, one in zip(names, schema, strict=True)]
    if schema[0]["type"] == "tensor":
        types = {name: one["tensor-spec"]["dtype"] for name, one in zip(names, schema, strict=True)}
        return entries, {"container": "tensors" if schema[0].get("name") else "tensor", "types": types}
    types = {name: one["type"] for name, one in zip(names, schema, strict=True)}
    return entries, {"container": "frame" if schema[0].get("name") else "matrix", "types": types}


def _outputs(schema: list[dict[str, Any]] | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The manifest's outputs, and the type of each; JSON where the signature does not say arrays."""
    if schema is None or not all(_is_array(one) for one in schema):
        return [_json("prediction")], {}
    names = [
        str(one.get("name") or ("prediction" if len(schema) == 1 else f"prediction{place}"))
        for place, one in enumerate(schema)
    ]
    entries = [_entry(name, one) for name, one in zip(names, schema, strict=True)]
    return entries, {entry["name"]: entry["dtype"].removeprefix("Array[").removesuffix("]") for entry in entries}


def _is_array(one: dict[str, Any]) -> bool:
    """Whether a column or tensor fits an array."""
    if one["type"] == "tensor":
        return bool(one.get("tensor-spec", {}).get("shape"))
    return isinstance(one["type"], str) and one["type"] in _COLUMNS


def _entry(name: str, one: dict[str, Any]) -> dict[str, Any]:
    """An array of the manifest. A dimension of any length gets a name; the first one is the batch."""
    shape: list[str | int] = ["batch"]
    if one["type"] == "tensor":
        shape = [
            ("batch" if place == 0 else f"{name}_{place}") if size == -1 else size
            for place, size in enumerate(one["tensor-spec"]["shape"])
        ]
    element = _COLUMNS.get(one["type"]) or _element(one["tensor-spec"]["dtype"])
    return {"name": name, "content_type": "NDJSON", "dtype": f"Array[{element}]", "shape": shape, "tags": []}


def _element(dtype: str) -> str:
    """What manifests call a type of numpy."""
    if dtype in {"float32", "float64", "int32", "int64", "bool"}:
        return dtype
    kind = {"float": "f", "int": "i", "uint": "u", "bool": "b"}.get(re.sub(r"\d+$", "", dtype), "U")
    return _KINDS.get(kind, "string")


def _json(name: str) -> dict[str, Any]:
    """A JSON value of any form."""
    return {"name": name, "content_type": "JSON", "dtype": _ANY, "tags": []}


def _environment(read: Read, model: dict[str, Any], loader: str) -> dict[str, Any]:
    """What `env.json` says: the folder's own requirements, less MLflow where it is not needed."""
    wanted = list(_requirements(read))
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in wanted}
    if loader == "mlflow":
        wanted += [f"mlflow=={model['mlflow_version']}"] * ("mlflow" not in names and "mlflow_version" in model)
    else:
        wanted = [line for line in wanted if not re.match(r"mlflow(-skinny)?\b", line, re.IGNORECASE)]
        wanted += [name for name in ("cloudpickle", "pandas") if name not in names]
    return {
        "python3::conda_pip": {
            "python_version": _python(read, model),
            "build_dependencies": [],
            "dependencies": [{"package": line, "extra_pip_args": None, "condition": None} for line in wanted],
            "conda_channels": None,
        }
    }


def _requirements(read: Read) -> Iterable[str]:
    """The requirements of pip; options among them, which could point anywhere, are left out."""
    text = read("requirements.txt")
    lines = text.decode(errors="replace").splitlines() if text else _conda_pip(read)
    for line in lines:
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        if _REQUIREMENT.match(plain):
            yield plain


def _conda_pip(read: Read) -> list[str]:
    """The pip part of `conda.yaml`."""
    wanted = _document(read, "conda.yaml").get("dependencies") or [] if read("conda.yaml") else []
    return [str(line) for one in wanted if isinstance(one, dict) for line in one.get("pip") or []]


def _python(read: Read, model: dict[str, Any]) -> str:
    """The version of Python that the model was made with."""
    pyfunc = model["flavors"].get("python_function") or {}
    if pyfunc.get("python_version"):
        return str(pyfunc["python_version"])
    if read("python_env.yaml"):
        return str(_document(read, "python_env.yaml").get("python") or platform.python_version())
    return platform.python_version()
