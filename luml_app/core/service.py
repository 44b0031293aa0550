"""The service runs operations: scope, permission, the operation itself, one transaction around all of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, update
from sqlalchemy.exc import DBAPIError

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.errors import translated
from luml_app.core.keys import Keys
from luml_app.core.operations import Operation
from luml_app.core.scope import Credentials, Scope, last_seen_is_old, resolve
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Invalid, LumlError, NotFound, Problem, ServerFault, Unavailable

log = logging.getLogger(__name__)
_SEEN_EVERY = {"satellite": 15.0, "api_key": 60.0}


@dataclass
class Request:
    """One call of an operation: ids of the path, query parameters and body as they come in, and who calls."""

    operation: Operation
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    credentials: Credentials = field(default_factory=Credentials)


@dataclass
class Answer:
    """What came of it: the value, and cookies (value, seconds to live; 0 deletes) for callers that keep such."""

    value: Any
    cookies: dict[str, tuple[str, int]]
    caller_id: UUID | None = None


class Service:
    """Runs operations against one database. Thread-safe; holds no state of a call."""

    def __init__(self, operations: dict[str, Operation], database: Database, keys: Keys, settings: Settings) -> None:
        self.operations = operations
        self.database = database
        self.keys = keys
        self.settings = settings

    def call(self, request: Request) -> Answer:
        """Run one operation. Raises the errors of `luml_app.schemas.errors`, and nothing else."""
        operation = request.operation
        path = {name: _id(name, value) for name, value in request.path.items()}
        arguments = {**_query(operation, request.query), **_body(operation, request.body)}
        connect = self.database.read if operation.reads else self.database.write
        try:
            with connect() as db:
                answer, scope = self._run(db, operation, path, arguments, request.credentials)
        except DBAPIError as error:
            raise self._explained(operation, error) from error
        for step in scope.after_commit:
            step()
        if scope.refusal is not None:
            raise scope.refusal
        return answer

    def _run(
        self, db: Connection, operation: Operation, path: dict[str, UUID], arguments: dict[str, Any], who: Credentials
    ) -> tuple[Answer, Scope]:
        scope = resolve(db, operation, who, path, self.keys, self.settings)
        _note_seen(scope)
        wanted = {name: path[name] for name in _names_of(operation.function) if name in path}
        value = operation.function(operation.resource(scope), **wanted, **arguments)
        return Answer(value, scope.cookies, scope.caller and scope.caller.id), scope

    def _explained(self, operation: Operation, error: DBAPIError) -> LumlError:
        known = translated(error)
        if known is not None:
            return known
        if error.connection_invalidated:
            return Unavailable("The database does not answer; try again in a moment.", retry_after=2)
        log.exception("%s failed in the database", operation.name)
        return ServerFault()


def _names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    return function.__code__.co_varnames[1 : function.__code__.co_argcount]


def _id(name: str, value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError as error:
        raise NotFound(f"{name} {str(value)[:80]!r} is not an id.") from error


def _query(operation: Operation, sent: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, parameter in operation.query.items():
        if name in sent and sent[name] is not None:
            arguments[name] = _converted(sent[name], parameter.annotation, ["query", name])
        elif parameter.default is parameter.empty:
            raise Invalid(problems=[Problem(["query", name], "Field required", "missing")])
        else:
            arguments[name] = parameter.default
    return arguments


def _body(operation: Operation, sent: Any) -> dict[str, Any]:
    if operation.body is None:
        return {}
    return {"body": sent if isinstance(sent, operation.body) else _converted(sent, operation.body, ["body"])}


def _converted(value: Any, kind: Any, where: list[str | int]) -> Any:
    try:
        return msgspec.convert(value, kind, strict=where[0] == "body")
    except msgspec.ValidationError as error:
        raise Invalid(problems=[problem_of(error, where)]) from error


def problem_of(error: msgspec.ValidationError, where: list[str | int]) -> Problem:
    """A msgspec error in the contract's form: the path ``$.a[0]`` becomes ``[…where, "a", 0]``."""
    message, _, path = str(error).partition(" - at `")
    steps = path.rstrip("`").replace("[", ".").replace("]", "").split(".")[1:]
    missing = "missing required field" in message
    if missing:
        steps.append(message.split("`")[-2])
    loc = [*where, *(int(step) if step.isdigit() else step for step in steps if step)]
    return Problem(loc, "Field required" if missing else message, "missing" if missing else "value_error")


def _note_seen(scope: Scope) -> None:
    """Keep "last seen" and "last used" fresh, at the price of one write every so often."""
    kind = scope.credentials.kind
    if scope.caller is None or kind not in _SEEN_EVERY:
        return
    now = datetime.now(UTC)
    if kind == "satellite" and last_seen_is_old(scope.caller.last_seen_at, now, _SEEN_EVERY[kind]):
        scope.db.execute(update(t.satellites).where(t.satellites.c.id == scope.caller.id).values(last_seen_at=now))
    if kind == "api_key" and last_seen_is_old(scope.caller.last_used_at, now, _SEEN_EVERY[kind]):
        scope.db.execute(update(t.api_keys).where(t.api_keys.c.id == scope.caller.key_id).values(last_used_at=now))
