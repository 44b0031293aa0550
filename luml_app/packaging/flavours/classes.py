"""Where the classes of a model come from, told by names alone."""

from __future__ import annotations

from typing import Any


def derives_from(model: Any, library: str) -> bool:
    """Whether a class of `model` is, or derives from one, of `library`."""
    return any(_top(cls) == library for cls in type(model).__mro__)


def is_of(model: Any, library: str) -> bool:
    """Whether the class of `model` is one of `library` itself."""
    return _top(type(model)) == library


def _top(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]
