"""What an operation is given: who calls, on what, and what they may do there.

The rows that a scope holds are the only way on to others (see `core.resolving`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table

from luml_app.core import events
from luml_app.core.keys import SATELLITE_KEY, USER_KEY, Keys
from luml_app.core.outside import UNASKED, Purpose, Question
from luml_app.core.permissions import decide
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Forbidden, LumlError, Unauthenticated


@dataclass(frozen=True)
class Credentials:
    """What a caller shows: a token (Bearer or cookie), or, inside the process, the id of a known user."""

    token: str | None = None
    user_id: UUID | None = None
    refresh_token: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    instance: str | None = None
    """Which of several satellites with one key this is, where it says so."""
    visit: str | None = None
    """What a browser that comes back from a provider was given when it left."""
    sign_up: str | None = None
    """What a browser was given when it signed up."""

    @property
    def kind(self) -> str:
        """Which table knows the caller."""
        if self.user_id is not None:
            return "known"
        if self.token is None:
            return "nobody"
        if self.token.startswith(SATELLITE_KEY):
            return "satellite"
        return "api_key" if self.token.startswith(USER_KEY) else "session"


@dataclass
class Scope:
    """Who calls, on what, with which means.

    `found` holds the rows of the path by table name. `refusal` is raised after the transaction has been committed:
    for the rare operation that must keep a change and refuse all the same. `answer` is
    what the operation has asked elsewhere, by its `fetch` or by `ask`; `go_to` is where a browser goes next.
    """

    db: Connection
    keys: Keys
    settings: Settings
    credentials: Credentials
    caller: Any = None
    organization_id: UUID | None = None
    organization_role: str | None = None
    orbit_id: UUID | None = None
    orbit_role: str | None = None
    found: dict[str, Any] = field(default_factory=dict)
    cookies: dict[str, tuple[str, int]] = field(default_factory=dict)
    refusal: LumlError | None = None
    answer: Any = UNASKED
    go_to: str | None = None

    @property
    def user_id(self) -> UUID:
        """The signed-in user."""
        if self.caller is None or self.credentials.kind == "satellite":
            raise Unauthenticated
        identity: UUID = self.caller.id
        return identity

    @property
    def only_orbit_id(self) -> UUID | None:
        """The orbit to which the caller's API key is bound."""
        only: UUID | None = None if self.caller is None else self.caller.columns.get("only_orbit_id")
        return only

    @property
    def actor_name(self) -> str | None:
        """How the caller is called in answers and events."""
        return None if self.caller is None else self.caller.name

    def row(self, table: Table) -> Any:
        """The object of the path that lives in `table`."""
        return self.found[table.name]

    def require(self, permission: str) -> None:
        """Raise Forbidden, with the reason, unless the caller's roles here hold `permission`."""
        decision = decide(permission, self.organization_role, self.orbit_role)
        if not decision:
            raise Forbidden(decision.why)

    def ask(self, purpose: Purpose, ask: Callable[[], Any]) -> Any:
        """What `ask` gives, which takes as long as somebody else likes (see `core.outside`); once in an operation.

        Called before anything is changed: the operation begins anew with the answer.
        """
        if self.answer is UNASKED:
            raise Question(self.organization_id, purpose, ask)
        return self.answer

    def record(self, action: str, object_id: UUID | None, **columns: Any) -> None:
        """Write the event of this change (see `core.events.record`)."""
        events.record(self.db, action, object_id=object_id, **{**self._origin(), **columns})

    def record_all(self, action: str, object_id: UUID | None, changes: Sequence[dict[str, Any]]) -> None:
        """Write several events of this change (see `core.events.record_all`)."""
        events.record_all(self.db, action, changes, object_id=object_id, **self._origin())

    def record_each(self, action: str, before: Mapping[UUID, Mapping[str, Any]], after: Any = None) -> None:
        """Write the events of one change of many objects (see `core.events.record_each`)."""
        events.record_each(self.db, action, before, after, **self._origin())

    def _origin(self) -> dict[str, Any]:
        """Who acts, from where, and in which place."""
        return {
            "organization_id": self.organization_id,
            "orbit_id": self.orbit_id,
            "actor_kind": {"satellite": "satellite", "nobody": "anyone"}.get(self.credentials.kind, "user"),
            "actor_id": self.caller.id if self.caller is not None else None,
            "actor_name": self.actor_name,
            "ip": self.credentials.ip,
        }


class Found:
    """A row's columns as attributes; the bulky ones only for an operation that is declared with ``whole=True``."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None


def last_seen_is_old(moment: datetime | None, now: datetime, seconds: float) -> bool:
    """Whether a "last seen" is due to be written again; writing it at each request would cost more than it tells."""
    return moment is None or (now - moment).total_seconds() >= seconds
