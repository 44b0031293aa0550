"""Model files of earlier years, and MLflow's folders: unpacked by the satellite, served by the model server."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from satellite import bundle
from tests.satellite.models import SOURCE, array, write_model
from tests.satellite.served import ServedModel, compute

Serve = Callable[[Path], httpx.Client]


@pytest.fixture
def serve_file(tmp_path: Path) -> Iterator[Serve]:
    """Unpacks a file as a satellite does, and serves it."""
    started: list[ServedModel] = []

    def serve(file: Path) -> httpx.Client:
        home = tmp_path / f"served{len(started)}"
        home.mkdir()
        bundle.unpack(file, home / "model")
        started.append(ServedModel(home, path=home / "model"))
        return started[-1].client

    yield serve
    for served in started:
        assert served.stop() == 0


def write_tar(path: Path, members: dict[str, Any]) -> Path:
    """A tar with members of text, bytes or JSON."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def old_members(inputs: list[Any], expression: str, **manifest: Any) -> dict[str, Any]:
    """The members of a model whose writer knew nothing but what is needed."""
    return {
        "manifest.json": {"variant": "pyfunc", "inputs": inputs, "outputs": [array("y")], **manifest},
        "variant_config.json": {"pyfunc_classname": "Model"},
        "ops.json": [],
        "variant_artifacts/__pyfunc__.py": SOURCE.format(warmup="pass", expression=expression),
    }


@pytest.mark.parametrize("extension", ["luml", "fnnx", "pyfnx", "dfs", "v2.bin"])
def test_the_name_of_a_file_says_nothing(tmp_path: Path, serve_file: Serve, extension: str) -> None:
    client = serve_file(write_model(tmp_path / f"model.{extension}"))
    assert compute(client, {"x": [1]}).json() == {"y": [2.0]}


def test_what_older_writers_left_out_has_its_plain_meaning(tmp_path: Path, serve_file: Serve) -> None:
    members = old_members([{"name": "x", "dtype": "Array[float]", "shape": ["batch"]}], "{'y': inputs['x'] * 2}")
    del members["manifest.json"]["variant"]
    assert compute(serve_file(write_tar(tmp_path / "m.dfs", members)), {"x": [1]}).json() == {"y": [2.0]}


@pytest.mark.parametrize(
    ("alias", "values", "dtype"),
    [
        ("float", [1.5], "float64"), ("int", [2], "int64"), ("integer", [2], "int64"), ("boolean", [True], "bool"),
        ("str", ["a"], "<U1"), ("string", ["a"], "<U1"), ("float32", [1.5], "float32"), ("int32", [1], "int32"),
    ],
)  # fmt: skip
def test_every_name_of_a_type_is_known(
    tmp_path: Path, serve_file: Serve, alias: str, values: list[Any], dtype: str
) -> None:
    expression = "{'y': [str(inputs['x'].dtype)]}"
    client = serve_file(write_tar(tmp_path / "m.fnnx", old_members([array("x", alias)], expression)))
    assert compute(client, {"x": values}).json() == {"y": [dtype]}
    assert compute(client, {"x": [[]]}).status_code == 422


@pytest.mark.parametrize(("alias", "value"), [("str", "a"), ("int64", 1), ("float32", 0.5), ("bool", True)])
def test_containers_come_out_as_lists(tmp_path: Path, serve_file: Serve, alias: str, value: Any) -> None:
    inputs = [{"name": "c", "content_type": "NDJSON", "dtype": f"NDContainer[{alias}]", "shape": ["n"]}]
    client = serve_file(write_tar(tmp_path / "m.luml", old_members(inputs, "{'y': inputs['c']}")))
    assert compute(client, {"c": [value, value]}).json() == {"y": [value, value]}


def test_patches_of_the_manifest_apply_in_the_order_of_their_names(tmp_path: Path, serve_file: Serve) -> None:
    members = old_members([array("x")], "{'y': inputs['z'] * 2}") | {
        "manifest-b.patch.json": [{"op": "replace", "path": "/inputs/0/name", "value": "z"}],
        "manifest-a.patch.json": [{"op": "add", "path": "/inputs/0/name", "value": "y"}],
    }
    client = serve_file(write_tar(tmp_path / "m.luml", members))
    assert compute(client, {"z": [1]}).json() == {"y": [2.0]}
    assert client.get("/manifest").json()["inputs"][0]["name"] == "z"


@pytest.mark.parametrize("tag", ["luml.ai::x:v1", "dataforce.studio::x:v1", "x:v1"])
def test_tags_may_be_spelt_in_three_ways(tmp_path: Path, serve_file: Serve, tag: str) -> None:
    members = old_members([array("x") | {"tags": [tag]}], "{'y': inputs['x'] * 2}", producer_tags=[tag])
    members["meta.json"] = [{"id": "1", "producer": "p", "producer_version": "1", "tags": [tag], "payload": {}}]
    assert compute(serve_file(write_tar(tmp_path / "m.luml", members)), {"x": [1]}).json() == {"y": [2.0]}


@pytest.mark.parametrize(
    "broken",
    [
        {"manifest.json": []}, {"manifest.json": {"inputs": 3}}, {"variant_config.json": [1]}, {"ops.json": {"a": 1}},
        {"manifest.json": "{"}, {"manifest.json": {"inputs": ["x"]}},
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_named(tmp_path: Path, broken: dict[str, Any]) -> None:
    file = write_tar(tmp_path / "m.luml", old_members([array("x")], "{}") | broken)
    with pytest.raises(bundle.NotAModel, match=r"manifest|variant_config|ops"):
        bundle.unpack(file, tmp_path / "model")


def test_a_pipeline_of_operators_is_served(tmp_path: Path, serve_file: Serve) -> None:
    import onnx

    helper, proto = onnx.helper, onnx.TensorProto
    node = helper.make_node("Add", ["x", "x"], ["y"])
    ends = [helper.make_tensor_value_info(name, proto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([node], "double", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    shape = {"dtype": "Array[float32]", "shape": ["batch", 2]}
    members = {
        "manifest.json": {
            "variant": "pipeline", "inputs": [{"name": "a", **shape}], "outputs": [{"name": "b", **shape}],
        },
        "variant_config.json": {"nodes": [{"op_instance_id": "op", "inputs": ["a"], "outputs": ["b"]}]},
        "ops.json": [
            {
                "id": "op", "op": "ONNX_v1", "inputs": [shape], "outputs": [shape],
                "attributes": {
                    "requires_ort_extensions": False, "has_external_data": False, "onnx_ir_version": 8,
                    "opsets": [{"domain": "ai.onnx", "version": 17}],
                },
            }
        ],
        "ops_artifacts/op/model.onnx": model.SerializeToString(),
    }  # fmt: skip
    client = serve_file(write_tar(tmp_path / "m.fnnx", members))
    assert compute(client, {"a": [[1, 2], [3, 4]]}).json() == {"b": [[2.0, 4.0], [6.0, 8.0]]}
    assert compute(client, {"a": [[1, 2, 3]]}).status_code == 422


def mlflow_folder(folder: Path, model: Any, signature: dict[str, Any], **flavor: Any) -> Path:
    """A folder as MLflow writes it for an estimator of scikit-learn."""
    import cloudpickle

    folder.mkdir()
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    flavors = {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "predict_fn": "predict"},
        "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "sklearn_version": "1"},
    }
    flavors["python_function"] |= flavor
    document = {
        "flavors": flavors, "mlflow_version": "3.1.0",
        "signature": {part: json.dumps(schema) for part, schema in signature.items()},
    }  # fmt: skip
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    (folder / "requirements.txt").write_text("--pre\nmlflow==3.1.0\n# more\nscikit-learn\n")
    return folder


def tensor(*shape: int, dtype: str = "float64") -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}


def packed(folder: Path, file: Path, inside: str) -> Path:
    with tarfile.open(file, "w") as tar:
        tar.add(folder, inside)
    return file


@pytest.mark.parametrize("inside", [".", "model"])
def test_an_mlflow_folder_in_a_tar_is_served(tmp_path: Path, serve_file: Serve, inside: str) -> None:
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, 0, 2]})
    model = LinearRegression().fit(frame, frame["a"] * 2 + frame["b"])
    columns = [{"type": "double", "name": "a", "required": True}, {"type": "long", "name": "b", "required": True}]
    folder = mlflow_folder(tmp_path / "folder", model, {"inputs": columns, "outputs": [tensor(-1)]})
    client = serve_file(packed(folder, tmp_path / "m.tar", inside))
    assert compute(client, {"a": [1, 5], "b": [2, 3]}).json() == {"prediction": pytest.approx([4.0, 13.0])}
    assert compute(client, {"a": [1], "b": [0.5]}).status_code == 422
    split = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2], [5.0, 3]]}}
    assert client.post("/invocations", json=split).json()["predictions"] == pytest.approx([4.0, 13.0])


def test_its_environment_is_its_own_without_mlflow_where_that_is_not_needed(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0, 1.0], [1.0, 0.0]], [1, 2])
    signature = {"inputs": [tensor(-1, 2)], "outputs": [tensor(-1)]}
    folder = mlflow_folder(tmp_path / "folder", model, signature, python_version="3.12.1")
    bundle.unpack(packed(folder, tmp_path / "m.tar", "."), tmp_path / "model")
    found = bundle.environment_of(tmp_path / "model")
    assert (found.python, found.requirements, found.options) == ("3.12", ("cloudpickle", "pandas", "scikit-learn"), ())


def test_an_mlflow_folder_becomes_a_model_file(tmp_path: Path, serve_file: Serve) -> None:
    from sklearn.linear_model import LogisticRegression

    from luml_app.packaging import read_artifact, save_mlflow_model

    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    signature = {"inputs": [tensor(-1, 2)], "outputs": [tensor(-1, 2)]}
    folder = mlflow_folder(tmp_path / "folder", model, signature, predict_fn="predict_proba")
    saved = save_mlflow_model(folder, tmp_path / "m.luml", name="odds", metrics={"auc": 0.9})
    assert read_artifact(saved.path).manifest["inputs"] == saved.manifest["inputs"]
    assert saved.manifest["inputs"][0]["shape"] == ["batch", 2]
    answer = compute(serve_file(saved.path), {"x": [[0, 1]]}).json()["prediction"]
    assert answer == [pytest.approx(model.predict_proba([[0.0, 1.0]])[0].tolist())]


@pytest.mark.parametrize(
    ("document", "words"),
    [("[1]", "not a mapping"), ("a: [", "not YAML"), ("flavors: {}", "no flavors"), ("flavors: {spark: {}}", "spark")],
)
def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path, document: str, words: str) -> None:
    with pytest.raises(bundle.NotAModel, match=words):
        bundle.unpack(write_tar(tmp_path / "m.tar", {"MLmodel": document}), tmp_path / "model")
