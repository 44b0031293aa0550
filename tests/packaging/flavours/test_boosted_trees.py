"""XGBoost, LightGBM and CatBoost: native and wrapped for scikit-learn, from the rows that they take to HTTP answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luml_app.packaging import save_model
from luml_app.packaging.errors import StorageError
from tests.packaging.conftest import needs, pins, stored_json
from tests.packaging.flavours.conftest import SAMPLES, Serve, array, assert_same, missing, mixed, target

# Every case is a start of a model server; one of each library runs always, the rest with the long tests.
EVERY = [name if name == "missing" else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLES]


def xgboost_booster(rows: Any) -> Any:
    import xgboost

    matrix = xgboost.DMatrix(rows, target(), enable_categorical=True)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3}, matrix, 5)


def xgboost_wrapper(rows: Any) -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=5, max_depth=3, enable_categorical=True).fit(rows, target())


def lightgbm_booster(rows: Any) -> Any:
    import lightgbm

    data = lightgbm.Dataset(rows, target())
    return lightgbm.train({"objective": "binary", "min_data_in_leaf": 2, "verbose": -1}, data, 5)


def lightgbm_wrapper(rows: Any) -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1).fit(rows, target())


def catboost_wrapper(rows: Any) -> Any:
    import catboost

    columns = [name for name in getattr(rows, "columns", ()) if name == "grade"]
    made = catboost.CatBoostClassifier(iterations=5, depth=3, verbose=False, allow_writing_files=False)
    return made.fit(rows, target(), cat_features=columns or None)


def catboost_native(rows: Any) -> Any:
    import catboost

    columns = [name for name in getattr(rows, "columns", ()) if name == "grade"]
    pool = catboost.Pool(rows, target(), cat_features=columns or None)
    made = catboost.CatBoost({"iterations": 5, "depth": 3, "verbose": False, "allow_writing_files": False})
    made.fit(pool)
    return made


def rows_of(kind: str, fit: Callable[[Any], Any]) -> Any:
    """The rows of a kind. CatBoost wants a category of its own for what is missing."""
    rows = SAMPLES[kind]()
    if fit in (catboost_native, catboost_wrapper) and kind == "missing":
        rows["grade"] = rows["grade"].cat.add_categories("none").fillna("none")
    return rows


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("fit", [xgboost_booster, lightgbm_booster, catboost_native])
def test_native_models(served: Serve, fit: Callable[[Any], Any], kind: str) -> None:
    library = fit.__name__.split("_")[0]
    needs(library)
    rows = rows_of(kind, fit)
    model = fit(rows)
    outputs = served(model, rows)
    if library == "xgboost":
        import xgboost

        rows = xgboost.DMatrix(rows, enable_categorical=True)
    assert_same(outputs, prediction=model.predict(rows))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("fit", [xgboost_wrapper, lightgbm_wrapper, catboost_wrapper])
def test_wrappers(served: Serve, fit: Callable[[Any], Any], kind: str) -> None:
    needs(fit.__name__.split("_")[0])
    rows = rows_of(kind, fit)
    model = fit(rows)
    assert_same(served(model, rows), prediction=model.predict(rows), probabilities=model.predict_proba(rows))


def test_what_a_file_of_xgboost_does_not_hold_goes_along(served: Serve) -> None:
    needs("xgboost")
    import xgboost

    rows = array()
    rows[::3, 0] = -999
    model = xgboost.XGBRegressor(n_estimators=5, missing=-999).fit(rows, target())
    blind = xgboost.XGBRegressor(n_estimators=5).fit(rows, target())
    assert not np.allclose(model.predict(rows), blind.predict(rows))
    assert_same(served(model, rows), prediction=model.predict(rows))


def test_early_stopping_is_kept(served: Serve) -> None:
    needs("xgboost")
    needs("lightgbm")
    import xgboost

    rows, noise = array(), np.random.default_rng(1).integers(0, 2, len(array()))
    model = xgboost.XGBClassifier(n_estimators=50, early_stopping_rounds=2)
    model.fit(rows, target(), eval_set=[(rows, noise)], verbose=False)
    assert model.best_iteration < 49
    assert_same(served(model, rows), prediction=model.predict(rows), probabilities=model.predict_proba(rows))


def test_files_are_the_libraries_own(tmp_path: Path) -> None:
    for library, fit, name in (
        ("xgboost", xgboost_wrapper, "model.ubj"),
        ("lightgbm", lightgbm_booster, "model.txt"),
        ("catboost", catboost_wrapper, "model.cbm"),
    ):
        needs(library)
        rows = rows_of("mixed", fit)
        saved = save_model(fit(rows), tmp_path / f"{library}.luml", sample=rows)
        files = {member.split("extra_files/")[1] for member in saved.file_index if "extra_files/" in member}
        assert files == {name, "template.pkl"}
        assert any(pin.startswith(library) for pin in pins(saved.path))
        assert pins(saved.path).isdisjoint({"torch", "panel", "sqlalchemy", "transformers"})


def test_classes_and_inputs_are_told(tmp_path: Path) -> None:
    needs("catboost")
    import catboost

    rows = mixed()
    names = np.where(target() == 1, "yes", "no")
    model = catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False)
    model.fit(rows, names, cat_features=["grade"])
    saved = save_model(model, tmp_path / "m.luml", sample=rows)
    payloads = [entry["payload"] for entry in stored_json(saved.path, "meta.json")]
    labels = [payload["labels"] for payload in payloads if "labels" in payload]
    assert labels == [["no", "yes"]]
    assert {one["name"]: one["dtype"] for one in saved.manifest["inputs"]} == {
        "a": "Array[float64]", "b": "Array[float64]", "rooms": "Array[int64]", "garden": "Array[bool]",
        "grade": "Array[string]",
    }  # fmt: skip


def test_wrappers_inside_a_pipeline(served: Serve) -> None:
    needs("xgboost")
    import xgboost
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rows: pd.DataFrame = missing()
    columns = make_column_transformer((OrdinalEncoder(), ["grade"]), remainder="passthrough")
    model = make_pipeline(columns, xgboost.XGBClassifier(n_estimators=5)).fit(rows, target())
    assert_same(served(model, rows), prediction=model.predict(rows), probabilities=model.predict_proba(rows))


def test_a_booster_has_one_method(tmp_path: Path) -> None:
    needs("xgboost")
    with pytest.raises(StorageError, match="leave out method"):
        save_model(xgboost_booster(array()), tmp_path / "m.luml", sample=array(), method="inplace_predict")
