"""Estimators of scikit-learn on every kind of rows, and functions, from the rows to HTTP answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

from luml_app.packaging import save_model
from tests.packaging.conftest import compute, stored_json
from tests.packaging.flavours.conftest import SAMPLES, Serve, array, assert_same, frame, missing, target

EVERY = [name if name == "missing" else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLES]


@pytest.mark.parametrize("kind", EVERY)
def test_a_pipeline(served: Serve, kind: str) -> None:
    rows = SAMPLES[kind]()
    encoded = make_column_transformer(
        (OrdinalEncoder(), make_column_selector(dtype_include="category")), remainder="passthrough"
    )
    steps = [encoded] if isinstance(rows, pd.DataFrame) else []
    model = make_pipeline(*steps, HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2)).fit(rows, target())
    assert_same(served(model, rows), prediction=model.predict(rows), probabilities=model.predict_proba(rows))


def ages(rows: pd.DataFrame) -> pd.DataFrame:
    """Days since the first of the century, with truths and what is missing as numbers."""
    return rows.assign(
        born=(rows["born"] - pd.Timestamp("2000-01-01")).dt.days, member=rows["member"].astype(float).fillna(-1)
    ).fillna(0.0)


def test_times_and_truths_with_missing_values(served: Serve) -> None:
    rows = missing()[["a", "b"]]
    rows["born"] = pd.date_range("2001-01-01", periods=len(rows), freq="D").where(rows.index % 6 != 1)
    rows["member"] = pd.array([None if n % 4 == 1 else bool(n % 2) for n in rows.index], dtype="boolean")

    def prepared(given: pd.DataFrame) -> pd.DataFrame:
        return ages(given)

    model = make_pipeline(FunctionTransformer(prepared), LinearRegression()).fit(rows, target())
    assert_same(served(model, rows), prediction=model.predict(rows))


def test_a_classifier_without_probabilities_tells_its_decision(served: Serve) -> None:
    model = LinearSVC().fit(array(), target())
    assert_same(served(model, array()), prediction=model.predict(array()), decision=model.decision_function(array()))


def test_several_targets(served: Serve, tmp_path: Path) -> None:
    rows, both = frame(), np.column_stack([target(), np.arange(len(target())) % 3])
    for model in (
        RandomForestClassifier(5, random_state=0).fit(rows, both),
        MultiOutputClassifier(RandomForestClassifier(3, random_state=0)).fit(rows, both),
    ):
        saved = save_model(model, tmp_path / "m.luml", sample=rows)
        payloads = [entry["payload"] for entry in stored_json(saved.path, "meta.json")]
        labels = {one["output"]: one["labels"] for one in payloads if "labels" in one}
        assert labels == {"probabilities_0": [0, 1], "probabilities_1": [0, 1, 2]}
    first, second = model.predict_proba(rows)
    assert_same(served(model, rows), prediction=model.predict(rows), probabilities_0=first, probabilities_1=second)


def test_a_regression_of_several_targets(tmp_path: Path) -> None:
    rows, both = frame(), array()[:, :2] * 3
    model = LinearRegression().fit(rows, both)
    saved = save_model(model, tmp_path / "m.luml", sample=rows)
    assert saved.manifest["outputs"][0]["shape"] == ["batch", 2]
    answer = compute(saved.path, {name: rows[name].tolist() for name in rows})
    np.testing.assert_allclose(answer["prediction"], model.predict(rows))


def test_a_transformer_that_gives_a_frame(served: Serve) -> None:
    model = StandardScaler().set_output(transform="pandas").fit(frame())
    assert_same(served(model, frame()), **dict(model.transform(frame()).items()))


@pytest.mark.parametrize("kind", EVERY)
def test_a_function(served: Serve, kind: str) -> None:
    def added(rows: Any) -> Any:
        return rows["a"] + rows["b"] if hasattr(rows, "columns") else rows[:, 0] + rows[:, 1]

    rows = SAMPLES[kind]()
    assert_same(served(added, rows), prediction=added(rows))
