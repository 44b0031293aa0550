"""The service runs operations: scope, permission, the operation itself, one transaction around all of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError, NoResultFound

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.errors import in_each_others_way, translated
from luml_app.core.keys import Keys
from luml_app.core.operations import Operation
from luml_app.core.outside import UNASKED, Outside, Question
from luml_app.core.resolving import resolve
from luml_app.core.scope import Credentials, Scope, last_seen_is_old
from luml_app.core.settings import Settings
from luml_app.core.throttle import throttled
from luml_app.schemas.errors import Invalid, LumlError, NotFound, Problem, ServerFault, Unavailable

log = logging.getLogger(__name__)
_ATTEMPTS = 3
MAX_QUERY_TEXT = 4096
_BRACKETS_AND_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_DEEP = 200
_SEEN_EVERY = {"satellite": 15.0, "api_key": 60.0, "session": 60.0}


@dataclass
class Request:
    """One call of an operation: ids of the path, query parameters and body as they come in, and who calls.

    `body` is JSON text, or what has been made of one.
    """

    operation: Operation
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    credentials: Credentials = field(default_factory=Credentials)


@dataclass
class Answer:
    """What came of it: the value; for callers with a browser, cookies (value, seconds to live; 0 deletes) and where to
    `go_to` next.
    """

    value: Any
    cookies: dict[str, tuple[str, int]]
    caller_id: UUID | None = None
    go_to: str | None = None


class Service:
    """Runs operations against one database. Thread-safe; holds no state of a call."""

    def __init__(self, operations: dict[str, Operation], database: Database, keys: Keys, settings: Settings) -> None:
        self.operations = operations
        self.database = database
        self.keys = keys
        self.settings = settings
        self.outside = Outside()

    def call(self, request: Request) -> Answer:
        """Run one operation. Raises the errors of `luml_app.schemas.errors`; anything else is a fault of this code."""
        try:
            return self.attempt(request)
        except Question as question:
            return self.attempt(request, self.outside.ask(question).result())

    def attempt(self, request: Request, answer: Any = UNASKED) -> Answer:
        """Run one operation as far as it gets without asking elsewhere, or with the `answer` to what it has asked.

        Raises `Question` when it needs one. With the answer it is still the same try, which no throttle counts again.
        """
        operation = request.operation
        path = {name: _id(name, value) for name, value in request.path.items()}
        arguments = {**_query(operation, request.query), **_body(operation, request.body)}
        first = answer is UNASKED
        with self._throttled(operation, arguments, request.credentials) if first else nullcontext():
            if first and operation.fetch is not None:
                answer = operation.fetch(self, arguments, request.credentials)
            result, scope = self._committed(operation, path, arguments, request.credentials, answer)
            if scope.refusal is not None:
                raise scope.refusal
            return result

    def _throttled(
        self, operation: Operation, arguments: dict[str, Any], who: Credentials
    ) -> AbstractContextManager[None]:
        account = getattr(arguments.get("body"), "email", None)
        shown = who.token is not None and operation.by != "anyone"
        return throttled(self.database, self.keys, operation.throttle, who.ip, account, shown=shown)

    def _committed(
        self,
        operation: Operation,
        path: dict[str, UUID],
        arguments: dict[str, Any],
        who: Credentials,
        answer: Any,
    ) -> tuple[Answer, Scope]:
        """Run it in a transaction; again when it lost against another one that ran at the same time."""
        connect = self.database.read if operation.reads else self.database.write
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with connect() as db:
                    return self._run(db, operation, path, arguments, who, answer)
            except DBAPIError as error:
                if attempt == _ATTEMPTS or not in_each_others_way(error):
                    raise self._explained(operation, error) from error
            except NoResultFound as error:
                raise NotFound("It has been deleted in this very moment.") from error
        raise AssertionError("the last attempt either answers or raises")

    def _run(
        self,
        db: Connection,
        operation: Operation,
        path: dict[str, UUID],
        arguments: dict[str, Any],
        who: Credentials,
        answer: Any,
    ) -> tuple[Answer, Scope]:
        scope = resolve(db, operation, who, path, self.keys, self.settings)
        scope.answer = answer
        _note_seen(scope)
        wanted = {name: path[name] for name in _names_of(operation.function) if name in path}
        value = operation.function(operation.resource(scope), **wanted, **arguments)
        return Answer(value, scope.cookies, scope.caller and scope.caller.id, scope.go_to), scope

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
            _check_text(name, sent[name])
            arguments[name] = _converted(sent[name], parameter.annotation, ["query", name])
        elif parameter.default is parameter.empty:
            raise Invalid(problems=[Problem(["query", name], "Field required", "missing")])
        else:
            arguments[name] = parameter.default
    return arguments


def _check_text(name: str, value: Any) -> None:
    """Texts of a query have no limits of their own; what is longer, or not to be stored, is a mistake or an attack."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and len(text) > MAX_QUERY_TEXT:
            raise Invalid.field(name, f"Send at most {MAX_QUERY_TEXT} characters.", where="query")
        if isinstance(text, str) and "\0" in text:
            raise Invalid.field(name, "A NUL character cannot be searched for or stored.", where="query")


def _body(operation: Operation, sent: Any) -> dict[str, Any]:
    if operation.body is None:
        return {}
    if isinstance(sent, bytes):
        return {"body": _decoded(sent, operation.body)}
    return {"body": _converted(sent, operation.body, ["body"])}


def _decoded(raw: bytes, kind: Any) -> Any:
    try:
        body = msgspec.json.decode(raw, type=kind)
        nul = _place_of("\0", msgspec.to_builtins(body), ["body"]) if b"\\u0000" in raw else None
    except msgspec.ValidationError as error:
        raise Invalid(problems=[problem_of(error, ["body"])]) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        place = _place_of_bad_text(raw)
        raise Invalid(problems=[Problem(place, f"This is not JSON: {error}", "json_invalid")]) from error
    except RecursionError as error:
        raise Invalid(
            problems=[Problem(_place_of_depth(raw), "The JSON is nested too deeply.", "recursion")]
        ) from error
    if nul is not None:
        raise Invalid(problems=[Problem(nul, "A NUL character (\\u0000) cannot be stored; remove it.")])
    return body


def _place_of_bad_text(raw: bytes) -> list[str | int]:
    """Where bytes that are not UTF-8 stand, as far as the rest is JSON."""
    mark = "\N{REPLACEMENT CHARACTER}"
    try:
        return _place_of(mark, msgspec.json.decode(raw.decode("utf-8", "replace")), ["body"]) or ["body"]
    except (msgspec.DecodeError, RecursionError):
        return ["body"]


def _place_of_depth(raw: bytes) -> list[str | int]:
    """The field of the body that is nested too deeply: its name is the last text before on the first level."""
    depth, name = 0, b'""'
    for found in _BRACKETS_AND_TEXTS.finditer(raw):
        token = found.group()
        if token in {b"{", b"["}:
            depth += 1
            if depth > _DEEP:
                break
        elif token in {b"}", b"]"}:
            depth -= 1
        elif depth == 1:
            name = token
    return ["body", *([name[1:-1].decode("utf-8", "replace")[:80]] if name != b'""' else [])]


def _place_of(character: str, value: Any, place: list[str | int]) -> list[str | int] | None:
    """Where in the value there is such a character, as is NUL, which PostgreSQL stores neither in text nor in JSON."""
    if isinstance(value, str):
        return place if character in value else None
    if isinstance(value, dict):
        inside = (_place_of(character, [key, one], [*place, str(key)[:80]]) for key, one in value.items())
        return next((found for found in inside if found), None)
    if isinstance(value, (list, tuple)):
        return next((found for one in value if (found := _place_of(character, one, place))), None)
    return None


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


_SEEN_IN = {
    "satellite": (t.satellites, "last_seen_at", "id"),
    "api_key": (t.api_keys, "last_used_at", "key_id"),
    "session": (t.sessions, "last_used_at", "session_id"),
}


def _note_seen(scope: Scope) -> None:
    """Keep "last seen" and "last used" fresh, at the price of one write every so often."""
    kind = scope.credentials.kind
    if scope.caller is None or kind not in _SEEN_EVERY:
        return
    table, column, id_name = _SEEN_IN[kind]
    row_id = getattr(scope.caller, id_name)
    now = datetime.now(UTC)
    if not last_seen_is_old(getattr(scope.caller, column), now, _SEEN_EVERY[kind]):
        return
    # Skipped while another request writes the same: its transaction may be a long one, and nobody shall wait for it.
    free = select(table.c.id).where(table.c.id == row_id).with_for_update(skip_locked=True, key_share=True)
    scope.db.execute(update(table).where(table.c.id.in_(free)).values({column: now, **_newer_hash(scope)}))


def _newer_hash(scope: Scope) -> dict[str, str]:
    """A token that is used is at hand, so that its hash can be made with the newest key; see `core.sealing`."""
    stored = scope.caller.columns.get("key_hash")
    if stored is None or scope.keys.is_newest(stored):
        return {}
    return {"key_hash": scope.keys.hash(scope.credentials.token or "")}
