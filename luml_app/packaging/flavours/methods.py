"""Which methods of a model are asked, and what their outputs are called."""

from __future__ import annotations

from typing import Any

from luml_app.packaging.errors import StorageError

_NAMES = {"predict": "prediction", "predict_proba": "probabilities", "decision_function": "decision"}


def has_method(model: Any, name: str) -> bool:
    """Whether `model` can be asked for it; scikit-learn hides what an estimator cannot do at the moment."""
    return callable(getattr(model, name, None))


def chosen_methods(model: Any, method: str | None) -> dict[str, str]:
    """Output → method: the one that was named, else ``predict`` with probabilities (or, failing these, the decision
    function of a classifier), else ``transform``; empty for a model without any of them.

    The first output is always ``prediction``. Raises `StorageError` for a method that `model` has not.
    """
    if method is not None:
        if not has_method(model, method):
            raise StorageError(f"{type(model).__name__} has no method {method!r}.")
        return {"prediction": method}
    if has_method(model, "predict"):
        return {_NAMES[name]: name for name in ("predict", *_scores(model))}
    return {"prediction": "transform"} if has_method(model, "transform") else {}


def class_labels(model: Any, methods: dict[str, str]) -> dict[str, list[Any]]:
    """Output → classes, in the order of its columns; one output for each target of a classifier with several."""
    classes = getattr(model, "classes_", None)
    if methods.get("probabilities") != "predict_proba" or classes is None:
        return {}
    if isinstance(classes, list):
        return {f"probabilities_{target}": _plain(one) for target, one in enumerate(classes)}
    return {"probabilities": _plain(classes)}


def _scores(model: Any) -> tuple[str, ...]:
    if has_method(model, "predict_proba"):
        return ("predict_proba",)
    is_classifier = getattr(model, "classes_", None) is not None
    return ("decision_function",) if is_classifier and has_method(model, "decision_function") else ()


def _plain(classes: Any) -> list[Any]:
    return list(classes.tolist() if hasattr(classes, "tolist") else classes)
