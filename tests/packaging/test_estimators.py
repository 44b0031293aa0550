from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from luml_app.packaging import read_artifact, save_model
from luml_app.packaging.errors import PackagingError, SampleError, SourceError, StorageError
from tests.packaging.conftest import compute, example, mixed_frame, needs, pins, stored_json


def people(rows: int = 40) -> tuple[pd.DataFrame, list[str]]:
    numbers = np.arange(rows)
    frame = pd.DataFrame(
        {
            "age": np.where(numbers % 7 == 3, np.nan, 20.0 + numbers),
            "children": numbers % 4,
            "city": [None if n % 9 == 4 else ["Bern", "Basel", "Zug"][n % 3] for n in numbers],
            "member": numbers % 2 == 0,
            "plan": pd.Categorical([None if n % 8 == 5 else "sml"[n % 3] for n in numbers]),
        }
    )
    return frame, ["yes" if n % 3 else "no" for n in numbers]


def classifier() -> Pipeline:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "children"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "member", "plan"]),
    )
    return make_pipeline(columns, LogisticRegression())


def test_a_pipeline_on_a_mixed_frame(tmp_path: Path) -> None:
    frame, answers = people()
    model = classifier().fit(frame, answers)
    saved = save_model(
        model, tmp_path / "m.luml", sample=frame, name="people", version="3", metrics={"f1": np.float64(0.5), "auc": 1}
    )

    inputs = {
        entry["name"]: (entry["content_type"], entry["dtype"], entry["shape"]) for entry in saved.manifest["inputs"]
    }
    assert inputs == {
        "age": ("NDJSON", "Array[float64]", ["batch"]),
        "children": ("NDJSON", "Array[int64]", ["batch"]),
        "city": ("NDJSON", "Array[string]", ["batch"]),
        "member": ("NDJSON", "Array[bool]", ["batch"]),
        "plan": ("NDJSON", "Array[string]", ["batch"]),
    }
    outputs = {entry["name"]: (entry["dtype"], entry["shape"]) for entry in saved.manifest["outputs"]}
    assert outputs == {
        "prediction": ("Array[string]", ["batch"]),
        "probabilities": ("Array[float64]", ["batch", 2]),
    }
    answer = compute(saved.path, example(saved.path))
    assert answer["prediction"].tolist() == model.predict(frame.head()).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(frame.head()))
    assert (saved.type, saved.extra_values) == ("model", {"f1": 0.5, "auc": 1})
    labels = [e["payload"]["labels"] for e in stored_json(saved.path, "meta.json") if "labels" in e["payload"]]
    assert labels == [["no", "yes"]]
    assert {"scikit-learn", "numpy", "scipy", "pandas", "joblib", "fnnx"} <= pins(saved.path)
    assert pins(saved.path).isdisjoint({"pytest", "panel", "sqlalchemy", "rich", "luml"})


def test_an_unknown_category_and_null_travel_as_json(tmp_path: Path) -> None:
    frame, answers = people()
    model = classifier().fit(frame, answers)
    saved = save_model(model, tmp_path / "m.luml", sample=frame)
    new = {"age": [None, 30], "children": [1, 2], "city": [None, "Genf"], "member": [True, False], "plan": [None, "?"]}
    same = pd.DataFrame(new | {"plan": [None, None]}).astype({"age": float, "plan": frame["plan"].dtype})
    np.testing.assert_allclose(compute(saved.path, new)["probabilities"], model.predict_proba(same))


def test_what_fnnx_reads_is_what_was_saved(tmp_path: Path) -> None:
    needs("pydantic")
    from fnnx.extras.reader import Reader

    frame, answers = people()
    saved = save_model(classifier().fit(frame, answers), tmp_path / "m.luml", sample=frame, name="people")
    reader = Reader(str(saved.path))
    assert reader.manifest.name == "people"
    assert reader.pyenv is not None
    assert len(reader.metadata) == 2
    info = read_artifact(saved.path)
    for field in ("manifest", "file_index", "file_hash", "size", "type", "extra_values"):
        assert getattr(info, field) == getattr(saved, field), field


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_arrays_are_one_input(tmp_path: Path, dtype: str) -> None:
    x = (np.arange(30).reshape(10, 3) % 2).astype(dtype)
    model = LinearRegression().fit(x, x.sum(axis=1))
    saved = save_model(model, tmp_path / "m.luml", sample=x)
    (entry,) = saved.manifest["inputs"]
    wire = {"float32": "float64"}.get(dtype, dtype)
    assert (entry["name"], entry["dtype"], entry["shape"]) == ("x", f"Array[{wire}]", ["batch", 3])
    np.testing.assert_allclose(compute(saved.path, {"x": x.tolist()})["prediction"], model.predict(x), rtol=1e-5)
    assert "pandas" not in pins(saved.path)
    with pytest.raises(ValueError, match="x must have the shape"):
        compute(saved.path, {"x": [[1, 0]]})


def test_integer_classes_and_more_than_two(tmp_path: Path) -> None:
    x = np.arange(60, dtype=float).reshape(30, 2)
    model = RandomForestClassifier(5, random_state=0).fit(x, np.arange(30) % 3)
    saved = save_model(model, tmp_path / "m.luml", sample=x)
    assert [entry["dtype"] for entry in saved.manifest["outputs"]] == ["Array[int64]", "Array[float64]"]
    assert saved.manifest["outputs"][1]["shape"] == ["batch", 3]


def test_texts_go_in_as_a_list(tmp_path: Path) -> None:
    texts = ["good day", "bad night", "good night", "bad day"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    saved = save_model(model, tmp_path / "m.luml", sample=texts)
    assert compute(saved.path, {"x": texts})["prediction"].tolist() == model.predict(texts).tolist()


def test_a_transformer_and_a_named_method(tmp_path: Path) -> None:
    x = np.arange(20, dtype=float).reshape(10, 2)
    scaler = StandardScaler().fit(x)
    saved = save_model(scaler, tmp_path / "t.luml", sample=x)
    np.testing.assert_allclose(compute(saved.path, {"x": x.tolist()})["prediction"], scaler.transform(x))
    forest = IsolationForest(n_estimators=5, random_state=0).fit(x)
    saved = save_model(forest, tmp_path / "s.luml", sample=x, method="score_samples")
    np.testing.assert_allclose(compute(saved.path, {"x": x.tolist()})["prediction"], forest.score_samples(x))


def test_labels_that_are_not_strings_name_the_inputs(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.arange(8.0).reshape(4, 2))
    saved = save_model(LinearRegression().fit(frame, [1, 2, 3, 4]), tmp_path / "m.luml", sample=frame)
    assert [entry["name"] for entry in saved.manifest["inputs"]] == ["0", "1"]


def test_missing_inputs_and_lengths_are_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0]})
    saved = save_model(LinearRegression().fit(frame, [1, 2]), tmp_path / "m.luml", sample=frame)
    with pytest.raises(ValueError, match="missing inputs: b"):
        compute(saved.path, {"a": [1.0]})
    with pytest.raises(ValueError, match="differ in length: a 1, b 2"):
        compute(saved.path, {"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="one per row"):
        compute(saved.path, {"a": [[1.0]], "b": [[1.0]]})


def test_every_kind_of_column_arrives_as_it_was(tmp_path: Path, write_module: Any) -> None:
    module = write_module(
        "echo_types",
        """
        def describe(frame):
            rows = frame.astype(object).map(repr).agg("|".join, axis=1)
            types = str([str(dtype) for dtype in frame.dtypes]) + str(list(frame.columns))
            return {"rows": rows.tolist(), "types": [types] * len(frame)}
        """,
    )
    frame = mixed_frame()
    saved = save_model(module.describe, tmp_path / "m.luml", sample=frame)
    answer = compute(saved.path, example(saved.path))
    assert answer["rows"].tolist() == module.describe(frame.head())["rows"]
    assert answer["types"][0] == module.describe(frame)["types"][0]


def test_a_text_that_looks_missing_stays_a_text(tmp_path: Path, write_module: Any) -> None:
    module = write_module("echo_texts", "def echo(frame):\n    return {'x': [repr(v) for v in frame['x']]}")
    for values in (["None", "nan", "a"], ["None", None, "a"], [None, "b", "a"]):
        sample = pd.DataFrame({"x": pd.Series(values, dtype=object)})
        saved = save_model(module.echo, tmp_path / "m.luml", sample=sample)
        assert compute(saved.path, {"x": values})["x"].tolist() == [repr(value) for value in values]


def test_infinite_numbers_survive(tmp_path: Path, write_module: Any) -> None:
    module = write_module("echo_floats", "def echo(frame):\n    return frame['x']")
    sample = pd.DataFrame({"x": [math.inf, -math.inf, math.nan, 1.5]})
    saved = save_model(module.echo, tmp_path / "m.luml", sample=sample)
    stored = example(saved.path)
    assert stored == {"x": ["Infinity", "-Infinity", None, 1.5]}
    np.testing.assert_equal(compute(saved.path, stored)["prediction"], sample["x"].to_numpy())


@pytest.mark.parametrize(
    ("sample", "what"),
    [
        (None, "Pass sample="),
        (pd.DataFrame(), "no columns"),
        (pd.DataFrame({"a": []}, dtype=float), "no rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns named 'a'"),
        (pd.DataFrame({"a": [[1], [2]]}), "Column 'a'"),
        (pd.DataFrame({"a": [1, "x"]}), "Column 'a'"),
        (pd.DataFrame({"": [1]}), "no name"),
        (np.array([[1, "x"]], dtype=object), "pass a DataFrame"),
        (np.array(3.0), "single value"),
        ([[1.0], [1.0, 2.0]], "ragged"),
        ("text", "builtins.str"),
    ],
)
def test_a_sample_that_says_too_little_is_refused(tmp_path: Path, sample: Any, what: str) -> None:
    model = LinearRegression().fit([[1.0]], [1.0])
    with pytest.raises(SampleError, match=what):
        save_model(model, tmp_path / "m.luml", sample=sample)
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="NotFittedError"):
        save_model(LinearRegression(), tmp_path / "m.luml", sample=np.ones((2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_called_or_pickled_is_refused(tmp_path: Path) -> None:
    x = np.ones((2, 2))
    with pytest.raises(StorageError, match="neither predict nor transform"):
        save_model(object(), tmp_path / "m.luml", sample=x)
    with pytest.raises(StorageError, match="no method 'fly'"):
        save_model(LinearRegression().fit(x, [1, 2]), tmp_path / "m.luml", sample=x, method="fly")
    model = LinearRegression().fit(x, [1, 2])
    model.hook = lambda: None
    with pytest.raises(SourceError, match="write it as a function"):
        save_model(model, tmp_path / "m.luml", sample=x)
    model.hook = threading.Lock()
    with pytest.raises(StorageError, match="cannot be pickled"):
        save_model(model, tmp_path / "m.luml", sample=x)


def test_metrics_must_be_numbers(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="Metric 'f1'"):
        save_model(LinearRegression(), tmp_path / "m.luml", sample=np.ones((1, 1)), metrics={"f1": "high"})  # type: ignore[dict-item]


def test_metrics_that_are_not_finite_are_stored_as_strict_json(tmp_path: Path) -> None:
    x = np.ones((2, 1))
    saved = save_model(
        LinearRegression().fit(x, [1, 2]), tmp_path / "m.luml", sample=x, metrics={"loss": math.inf, "r2": math.nan}
    )
    info = read_artifact(saved.path)
    assert info.extra_values["loss"] == math.inf
    assert math.isnan(info.extra_values["r2"])
    json.dumps(stored_json(saved.path, "meta.json"), allow_nan=False)


def test_declared_dependencies_replace_what_is_found(tmp_path: Path) -> None:
    x = np.ones((2, 1))
    model = LinearRegression().fit(x, [1, 2])
    saved = save_model(model, tmp_path / "m.luml", sample=x, dependencies=["scikit-learn>=1.5"])
    assert pins(saved.path) == {"scikit-learn>=1.5", "fnnx"}
    with pytest.raises(PackagingError, match="dependencies must be a list"):
        save_model(model, tmp_path / "m.luml", sample=x, dependencies="scikit-learn")
    with pytest.raises(PackagingError, match="is not a requirement"):
        save_model(model, tmp_path / "m.luml", sample=x, dependencies=["--find-links"])


def test_the_training_data_says_more_than_the_sample(tmp_path: Path) -> None:
    data = pd.DataFrame({"n": [1, 2, None], "b": [0.5, 1.5, 2.5]}).astype({"n": "Int64"})
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(data.astype(float), [1, 2, 3])
    saved = save_model(model, tmp_path / "m.luml", sample=data.head(1), data=data)
    assert saved.manifest["inputs"][0]["dtype"] == "Array[float64]"
    assert len(example(saved.path)["n"]) == 1
    saved = save_model(model, tmp_path / "n.luml", data=data)
    assert example(saved.path) == {"n": [1, 2, None], "b": [0.5, 1.5, 2.5]}
    with pytest.raises(SampleError, match="sample and data differ"):
        save_model(model, tmp_path / "o.luml", sample=data[["b"]], data=data)


def test_times_come_with_and_without_a_zone(tmp_path: Path, write_module: Any) -> None:
    module = write_module("echo_times", "def echo(frame):\n    return {'t': [str(t) for t in frame['t']]}\n")
    saved = save_model(module.echo, tmp_path / "m.luml", sample=pd.DataFrame({"t": pd.to_datetime(["2024-01-01"])}))
    times = ["2024-02-01T10:00:00Z", "2024-02-01T10:00:00+02:00", "2024-02-01"]
    expected = ["2024-02-01 10:00:00", "2024-02-01 08:00:00", "2024-02-01 00:00:00"]
    assert compute(saved.path, {"t": times})["t"].tolist() == expected
    assert len(compute(saved.path, {"t": []})["t"]) == 0
    with pytest.raises(ValueError, match="input t must hold times as ISO 8601"):
        compute(saved.path, {"t": ["yesterday"]})
