"""What libraries tell of their trainings, by themselves."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from luml_app.tracking import Run
from tests.packaging.conftest import needs

Begin = Callable[..., Run]
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(120, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


def test_a_watched_estimator_of_scikit_learn(begin: Begin) -> None:
    run, model = begin(), GradientBoostingClassifier(n_estimators=5, max_depth=2)
    with run.watch(model):
        assert model.fit(X, Y) is model
        assert pickle.loads(pickle.dumps(copy.deepcopy(LogisticRegression())))
    assert "fit" not in vars(model), "it is as it was"
    params = run.params()
    assert (params["estimator"], params["n_estimators"], params["n_features"]) == ("GradientBoostingClassifier", 5, 4)
    assert run.curve("fit/train_score") == (list(range(5)), pytest.approx(list(model.train_score_)))
    assert run.metrics()["fit/seconds"] > 0
    model.fit(X, Y)
    assert len(run.curve("fit/seconds")[0]) == 1


def test_a_pipeline_and_a_search(begin: Begin) -> None:
    run = begin()
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]})
    with run.watch(search):
        search.fit(X, Y)
    assert run.params()["best_logisticregression__C"] == search.best_params_["logisticregression__C"]
    assert run.metrics()["fit/best_score"] == pytest.approx(search.best_score_)
    assert len(json.loads((run.path / "attachments/search.json").read_text())["mean_test_score"]) == 2


def test_a_fit_that_fails_is_watched_no_longer(begin: Begin) -> None:
    run, model = begin(), LogisticRegression()
    with pytest.raises(ValueError, match="inconsistent"), run.watch(model):
        model.fit(X, Y[:3])
    assert "fit" not in vars(model)
    assert run.params()["estimator"] == "LogisticRegression"


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosted_trees_tell_while_they_train(begin: Begin, library: str) -> None:
    needs(library)
    module, quiet = importlib.import_module(library), {"lightgbm": {"verbosity": -1}, "xgboost": {}}[library]
    kind = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier"}[library]
    run, model = begin(), getattr(module, kind)(n_estimators=6, **quiet)
    with run.watch(model):
        model.fit(X, Y, **{"lightgbm": {"eval_X": X, "eval_y": Y}, "xgboost": {"eval_set": [(X, Y)]}}[library])
    found: Any = model.evals_result_ if library == "lightgbm" else model.evals_result()
    ((data, metrics),) = found.items()
    ((metric, values),) = metrics.items()
    assert run.curve(f"{data}/{metric}") == (list(range(6)), pytest.approx(list(values)))
    assert run.params()["n_estimators"] == 6 and "callbacks" not in run.params()
    assert pickle.loads(pickle.dumps(model)).predict(X).tolist() == model.predict(X).tolist()


def test_the_callbacks_of_native_trainings(begin: Begin) -> None:
    needs("xgboost"), needs("lightgbm")
    xgboost, lightgbm = importlib.import_module("xgboost"), importlib.import_module("lightgbm")
    run = begin()
    matrix = xgboost.DMatrix(X, Y)
    wanted = {"objective": "binary:logistic"}
    xgboost.train(wanted, matrix, 4, evals=[(matrix, "train")], callbacks=[run.xgboost_callback()], verbose_eval=False)
    xgboost.cv(wanted, matrix, 3, nfold=2, callbacks=[run.xgboost_callback()])
    data, options = lightgbm.Dataset(X, Y), {"objective": "binary", "verbosity": -1}
    lightgbm.train(options, data, 5, valid_sets=[data], valid_names=["valid"], callbacks=[run.lightgbm_callback()])
    lengths = {name: len(run.curve(name)[0]) for name in run.metric_names()}
    assert lengths == {"train/logloss": 4, "test/logloss": 3, "valid/binary_logloss": 5}
