"""Finds the operation of a path: segment by segment, instead of one pattern after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tornado.escape import url_unescape
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher

from luml_app.core.operations import Operation

Methods = dict[str, Operation]


@dataclass
class _Place:
    """What is behind the segments so far: words, a parameter, and the operations of a path that ends here."""

    words: dict[str, _Place] = field(default_factory=dict)
    parameter: _Place | None = None
    names: tuple[str, ...] = ()
    methods: Methods = field(default_factory=dict)

    def find(self, segments: list[str], at: int, values: list[str]) -> _Place | None:
        """The place of a path; what its parameters hold is added to `values`.

        A word goes before a parameter, so that `entries/by-stage` is not taken for an entry's id.
        """
        if at == len(segments):
            return self if self.methods else None
        word = self.words.get(segments[at])
        if word is not None and (found := word.find(segments, at + 1, values)) is not None:
            return found
        if self.parameter is None or not segments[at]:
            return None
        values.append(segments[at])
        if (found := self.parameter.find(segments, at + 1, values)) is None:
            values.pop()
        return found


class OperationPaths(Matcher):
    """Matches the paths of all operations, with or without a slash at the end; several may share a path.

    `arguments` are further ones of the handler. Raises ValueError when two paths differ in nothing but the names of
    their parameters.
    """

    def __init__(self, operations: Iterable[Operation], **arguments: Any) -> None:
        self._arguments = arguments
        self._root = _Place()
        for operation in operations:
            for path in (operation.path, *operation.aliases):
                self._add(path, operation)

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """The handler's arguments: its path's parameters and the operations by method; None for another path."""
        values: list[str] = []
        place = self._root.find(request.path.removesuffix("/").split("/"), 0, values)
        if place is None:
            return None
        raw = (url_unescape(value, encoding=None, plus=False) for value in values)
        parameters = dict(zip(place.names, raw, strict=True))
        return {"path_kwargs": parameters, "target_kwargs": {**self._arguments, "methods": place.methods}}

    def _add(self, path: str, operation: Operation) -> None:
        place, names = self._root, []
        for segment in path.split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                place.parameter = place = place.parameter or _Place()
            else:
                place = place.words.setdefault(segment, _Place())
        if place.methods and place.names != tuple(names):
            raise ValueError(f"{path} of {operation.name} has other names of parameters than another path like it")
        place.names = tuple(names)
        place.methods[operation.method] = operation
