"""What trainings of scikit-learn, XGBoost and LightGBM tell by themselves.

Nothing is changed in these libraries: they are told by their own callbacks, and a watched estimator is changed alone,
and only as long as it is watched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luml_app.tracking.run import Run

_CURVES = ("loss_curve_", "train_score_", "validation_score_", "validation_scores_", "scores_")
"""What estimators of scikit-learn keep of their iterations."""
_LONGEST_TEXT = 500


def xgboost_callback(run: Run) -> Any:
    """A callback of XGBoost, for ``xgboost.train(…, callbacks=[…])``: logs every metric of every evaluation set."""
    from xgboost.callback import TrainingCallback

    def log(_: Any, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Sequence[Any]]]) -> bool:
        found = {(data, metric): values[-1] for data, of in evals_log.items() for metric, values in of.items()}
        # Of a cross-validation there are pairs of mean and deviation.
        means = {key: value[0] if isinstance(value, tuple) else value for key, value in found.items()}
        run.log({f"{data}/{metric}": value for (data, metric), value in means.items()}, step=epoch)
        return False

    return type("LumlCallback", (TrainingCallback,), {"after_iteration": log})()


def lightgbm_callback(run: Run) -> Callable[[Any], None]:
    """A callback of LightGBM, for ``lightgbm.train(…, callbacks=[…])``: logs every metric of every evaluation set."""

    def log(environment: Any) -> None:
        results = environment.evaluation_result_list or []
        run.log({f"{one[0]}/{one[1]}": one[2] for one in results}, step=environment.iteration)

    return log


@contextmanager
def watching(run: Run, estimator: Any) -> Iterator[Any]:
    """Log what the `fit` of this one estimator does, in the block; clones of it are not watched."""
    estimator.fit = _watched_fit(run, estimator)
    try:
        yield estimator
    finally:
        vars(estimator).pop("fit", None)


def _watched_fit(run: Run, estimator: Any) -> Callable[..., Any]:
    def fit(*data: Any, **options: Any) -> Any:
        watched = vars(estimator).pop("fit", None)  # so that whoever copies or stores it meanwhile finds it as it is
        try:
            run.log_params(params_of(estimator))
            started = time.perf_counter()
            with _told_by_callbacks(run, estimator, options) as told:
                fitted = estimator.fit(*data, **told)
            run.log({"fit/seconds": time.perf_counter() - started})
            _log_what_was_found(run, estimator)
            return fitted
        finally:
            if watched is not None:
                estimator.fit = watched

    return fit


def params_of(estimator: Any) -> dict[str, Any]:
    """The class and the parameters of an estimator; those that are objects as text, callbacks not at all."""
    found = {name: value for name, value in estimator.get_params().items() if name.rpartition("__")[2] != "callbacks"}
    plain = {name: value if _is_plain(value) else repr(value)[:_LONGEST_TEXT] for name, value in found.items()}
    return {"estimator": type(estimator).__name__, **plain}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, bool | int | float | str | None) for one in value)
    return isinstance(value, bool | int | float | str | None)


@contextmanager
def _told_by_callbacks(run: Run, estimator: Any, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a `fit` that tells of its iterations, where the library of the estimator can."""
    library = type(estimator).__module__.partition(".")[0]
    if library == "lightgbm":
        yield {**options, "callbacks": [*(options.get("callbacks") or []), lightgbm_callback(run)]}
    elif library == "xgboost":
        before = estimator.get_params().get("callbacks")
        estimator.set_params(callbacks=[*(before or []), xgboost_callback(run)])
        try:
            yield options
        finally:
            estimator.set_params(callbacks=before)
    else:
        yield options


def _log_what_was_found(run: Run, estimator: Any) -> None:
    features = vars(estimator).get("n_features_in_")
    run.log_params({} if features is None else {"n_features": features})
    for name in _CURVES:
        for value in _numbers(vars(estimator).get(name)):
            run.log({f"fit/{name.rstrip('_')}": value})
    if hasattr(estimator, "cv_results_"):
        best = getattr(estimator, "best_params_", None) or {}
        run.log_params({f"best_{key}": value if _is_plain(value) else repr(value) for key, value in best.items()})
        for score in _numbers([getattr(estimator, "best_score_", None)]):
            run.log({"fit/best_score": score})
        run.attach({key: [str(one) for one in values] for key, values in estimator.cv_results_.items()}, "search.json")


def _numbers(values: Any) -> list[float]:
    """A curve that an estimator has kept; nothing for what is none."""
    listed = [] if values is None or isinstance(values, dict | str) else list(values)
    plain = [one.item() if hasattr(one, "item") and not getattr(one, "shape", ()) else one for one in listed]
    return plain if all(isinstance(one, int | float) and not isinstance(one, bool) for one in plain) else []
