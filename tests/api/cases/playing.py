"""How the case of an operation is declared, and made a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from luml_app.core.operations import Operation
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.resources import all_operations
from tests.api.stage import SATELLITE_TOKEN, Stage


@dataclass
class Case:
    """What to send: `path` where it differs from the stage's own ids, `token` where it is not Alice who calls."""

    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    path: dict[str, Any] = field(default_factory=dict)
    refresh_token: str | None = None
    token: str | None = None
    visit: str | None = None


Maker = Callable[[Stage], Case]
CASES: dict[str, Maker] = {}
OPERATIONS = all_operations()


def case(name: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        CASES[name] = maker
        return maker

    return register


def plain(name: str, body: Any = None, **query: Any) -> None:
    CASES[name] = lambda stage: Case(body, query)


def request_of(stage: Stage, operation: Operation, credentials: Credentials | None = None) -> Request:
    """The case of an operation as a request of whom it is for, or of somebody else."""
    played = CASES[operation.name](stage)
    path = {name: played.path.get(name, stage.ids.get(name)) for name in operation.path_parameters}
    token = {"user": stage.cast.alice.api_key, "satellite": SATELLITE_TOKEN, "anyone": None}[operation.by]
    who = credentials or Credentials(
        token=played.token or token, refresh_token=played.refresh_token, visit=played.visit
    )
    return Request(operation, path, played.query, played.body, who)
