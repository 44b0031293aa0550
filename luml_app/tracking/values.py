"""What may be logged as a metric: checked where it is logged, so that a mistake is shown where it was made."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from luml_app.packaging.errors import PackagingError
from luml_app.tracking.writer import Point

LONGEST_NAME = 200
_LARGEST_STEP = 2**62
_REMEMBERED = 10_000
_known_names: set[str] = set()
"""Names that have been checked before: a training logs the same few again and again."""


def points(metrics: Mapping[str, Any], step: Any, at: float) -> list[Point]:
    """The points of one call. Nested mappings become names with slashes: ``{"train": {"loss": 1}}`` is ``train/loss``.

    Raises `PackagingError` that names the metric for what is no number, and for names and steps that cannot be kept.
    """
    checked = None if step is None else _step(step)
    return [(name, value, checked, at) for name, value in _numbers(metrics, "")]


def _numbers(metrics: Mapping[str, Any], above: str) -> Iterator[tuple[str, float]]:
    for key, value in metrics.items():
        name = f"{above}{key}"
        if type(value) is float:  # nearly always, and this is called very often
            yield (name if name in _known_names else checked_name(name)), value
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")
        else:
            yield (name if name in _known_names else checked_name(name)), _number(name, value)


def _number(name: str, value: Any) -> float:
    """A number of any library: Python's, numpy's, a tensor with one element."""
    try:
        plain = value.item() if hasattr(value, "item") else value
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return float(plain)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    shown = repr(value)
    raise PackagingError(
        f"Metric {name!r} is {shown[:80]}{'…' if len(shown) > 80 else ''}; a metric must be a number. "
        "What a run is made with is logged as run.log(params={…})."
    )


def _step(step: Any) -> int:
    try:
        whole = operator.index(step.item() if hasattr(step, "item") else step)
    except (TypeError, ValueError, RuntimeError):
        whole = None
    if whole is None or isinstance(step, bool) or not -_LARGEST_STEP < whole < _LARGEST_STEP:
        raise PackagingError(f"step is {step!r}; it must be a whole number.")
    return whole


def checked_name(name: str, what: str = "metric") -> str:
    """A name that the registry takes, too. Raises `PackagingError` for others."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise PackagingError(
            f"The {what} name {name[:40]!r} has {len(name)} characters; it must have 1 to {LONGEST_NAME}, printable."
        )
    if len(_known_names) < _REMEMBERED:
        _known_names.add(name)
    return name


def check_texts(values: Iterable[object]) -> None:
    """Raise `PackagingError` for texts with half characters (lone surrogates), which nobody can store."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise PackagingError(f"{value[:40]!r} holds half a character; it cannot be stored as text.") from error
