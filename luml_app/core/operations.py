"""An operation is declared once; route, OpenAPI, clients and reference are all read off that declaration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from luml_app.core.permissions import is_permission
from luml_app.core.throttle import Throttle

Caller = Literal["anyone", "user", "satellite"]
Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__operation__"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, eq=False)
class Operation:
    """One thing that the platform can do.

    `needs` is the permission, `by` the kind of caller, `status` the HTTP status of success, `aliases` further paths
    of older clients. `writes`: it changes something although its method is GET. `wakes_on`: an answer that is empty
    may wait (query parameter ``wait``, seconds) for an event whose action starts so. `whole`: the scope holds the bulky
    columns of the addressed object, too (those that are marked so in `core.tables`). `throttle`: how often it may be
    tried. `fetch`: finds out what must be known before the transaction; it gets the service, the arguments and the
    credentials. What it returns, or what comes of the `Question` that it raises, is the scope's `answer`. `streams`:
    over HTTP, the items of all its pages follow each other as JSON lines, one page in memory at a time.
    """

    name: str
    method: str
    path: str
    function: Callable[..., Any]
    resource: type[Resource]
    summary: str
    needs: str | None = None
    by: Caller = "user"
    status: int = 200
    aliases: tuple[str, ...] = ()
    deprecated: bool = False
    writes: bool = False
    wakes_on: str | None = None
    whole: bool = False
    throttle: Throttle | None = None
    fetch: Callable[[Any, dict[str, Any], Any], Any] | None = None
    streams: bool = False
    body: Any = None
    query: dict[str, inspect.Parameter] = field(default_factory=dict)
    returns: Any = None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it needs no transaction."""
        return self.method == "GET" and not self.writes

    @property
    def open_to_links(self) -> bool:
        """Whether a link on another site may lead here: it changes nothing, or only what its own token allows."""
        return self.reads or (self.method == "GET" and self.by == "anyone")

    @property
    def path_parameters(self) -> list[str]:
        """Names of the ids in the path, in their order."""
        return _PATH_PARAMETER.findall(self.path)

    @property
    def verb(self) -> str:
        """The method's name, as in ``collections.create``."""
        return self.name.partition(".")[2]


class Resource:
    """One resource: its operations as methods, its SQL and its rules. A new instance serves each call.

    `name` is the word before the dot of its operations; without it, the class name in snake case.
    """

    name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, scope: Any) -> None:
        self.scope = scope
        self.db = scope.db


def operation(
    route: str,
    *,
    needs: str | None = None,
    by: Caller = "user",
    status: int = 200,
    aliases: tuple[str, ...] = (),
    deprecated: bool = False,
    writes: bool = False,
    wakes_on: str | None = None,
    whole: bool = False,
    throttle: Throttle | None = None,
    fetch: Callable[[Any, dict[str, Any], Any], Any] | None = None,
    streams: bool = False,
) -> Callable[[Function], Function]:
    """Declare a method as an operation: ``@operation("POST /v1/…/collections", needs="collection:create")``.

    Names in the path are path parameters, `body` is the JSON body, all others are query parameters. Those that several
    operations share are a `TypedDict`, unpacked: ``**filters: Unpack[EventFilters]``; each may be left out.
    Raises ValueError at import for a permission that is not in the table.
    """
    if needs is not None and not is_permission(needs):
        raise ValueError(f"No permission {needs!r} in the table of core/permissions.py")
    facts = {
        "needs": needs,
        "by": by,
        "status": status,
        "aliases": aliases,
        "deprecated": deprecated,
        "writes": writes,
        "wakes_on": wakes_on,
        "whole": whole,
        "throttle": throttle,
        "fetch": fetch,
        "streams": streams,
    }

    def mark(function: Function) -> Function:
        setattr(function, _MARK, (*route.split(" ", 1), facts))
        return function

    return mark


def collect(resources: Iterable[type[Resource]]) -> dict[str, Operation]:
    """All operations of the resources, by name. Raises ValueError when two share a name or a route."""
    found: dict[str, Operation] = {}
    routes: set[tuple[str, str]] = set()
    for resource in resources:
        for one in _operations_of(resource):
            paths = {(one.method, path) for path in (one.path, *one.aliases)}
            if one.name in found or paths & routes:
                raise ValueError(f"{one.name} ({one.method} {one.path}) is declared twice")
            found[one.name] = one
            routes |= paths
    return found


def _operations_of(resource: type[Resource]) -> Iterable[Operation]:
    for verb, function in vars(resource).items():
        if (mark := getattr(function, _MARK, None)) is not None:
            yield _read_declaration(resource, verb, function, *mark)


def _read_declaration(
    resource: type[Resource], verb: str, function: Callable[..., Any], method: str, path: str, facts: dict[str, Any]
) -> Operation:
    hints = get_type_hints(function, include_extras=True)
    parameters = _parameters(function, hints)
    in_path = set(_PATH_PARAMETER.findall(path))
    return Operation(
        name=f"{resource.name}.{verb}",
        method=method,
        path=path,
        function=function,
        resource=resource,
        summary=inspect.cleandoc(function.__doc__ or ""),
        body=hints.get("body"),
        query={p.name: p for p in parameters if p.name != "body" and p.name not in in_path},
        returns=None if hints.get("return") is type(None) else hints.get("return"),
        **facts,
    )


def _parameters(function: Callable[..., Any], hints: dict[str, Any]) -> list[inspect.Parameter]:
    """The parameters with their types, but for `self`; an unpacked dictionary stands for those that it names."""
    found: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            (shared,) = get_args(hints[parameter.name])
            found += [
                inspect.Parameter(name, parameter.KEYWORD_ONLY, default=None, annotation=hint)
                for name, hint in get_type_hints(shared, include_extras=True).items()
            ]
        else:
            found.append(parameter.replace(annotation=hints[parameter.name]))
    return found
