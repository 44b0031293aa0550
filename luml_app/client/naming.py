"""Finding one of several things by what a person calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from luml_app.schemas.errors import Conflict, NotFound

Thing = TypeVar("Thing")


def named(things: Iterable[Thing], name: str, what: str, names_of: Callable[[Thing], tuple[Any, ...]]) -> Thing:
    """The one of these that is called `name`, in whatever case. Raises NotFound, which lists them, or Conflict."""
    things = list(things)
    found = [one for one in things if name.lower() in (str(known).lower() for known in names_of(one))]
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(f"Several fit the {what} {name!r}; name one by its id.")
    raise NotFound(f"There is no {what} {name!r}. There are: {listed(str(names_of(one)[0]) for one in things)}.")


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(repr(name) for name in names) or "none"
