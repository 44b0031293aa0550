"""An organization as a person names it, its audit log and its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from luml_app.client.naming import listed, named
from luml_app.client.paging import pages
from luml_app.schemas.errors import Conflict, NotFound, Unavailable
from luml_app.schemas.events import Event
from luml_app.schemas.organizations import OrganizationListed
from luml_app.schemas.webhooks import Webhook

if TYPE_CHECKING:
    from luml_app.client.http import Client

# An event is dated when it is written, and seen when its transaction has ended: later ones may be seen before it.
_OVERLAP = timedelta(seconds=60)


def find_organization(client: Client, name: str | UUID | None = None) -> OrganizationListed:
    """The organization of this name or id; without one, the only one. Raises NotFound or Conflict, which list them."""
    mine = client.organizations.list()
    if name is not None:
        return named(mine, str(name), "organization", lambda one: (one.name, str(one.id)))
    if len(mine) == 1:
        return mine[0]
    if not mine:
        raise NotFound("You are in no organization; create one, or ask to be invited.")
    raise Conflict(f"Say which organization; you are in several: {listed(one.name for one in mine)}.")


class OrganizationHandle:
    """An organization. `data` is what was read of it."""

    def __init__(self, client: Client, data: OrganizationListed) -> None:
        self.client = client
        self.data = data

    def __repr__(self) -> str:
        return f"<Organization {self.data.name!r} {self.data.id}>"

    @property
    def id(self) -> UUID:
        """The organization's id."""
        return self.data.id

    def events(self, **filters: Any) -> Iterator[Event]:
        """The events of the audit log, the latest first; `filters` as of `client.events.list`."""
        wanted = {"limit": 1000, **filters}
        return pages(lambda cursor: self.client.events.list(self.id, cursor=cursor, **wanted))

    def webhook(self, name: str | UUID) -> Webhook:
        """The webhook with this id, or this address. Raises NotFound, which lists them, or Conflict."""
        found = self.client.webhooks.list(self.id)
        return named(found, str(name), "webhook", lambda one: (one.url, str(one.id)))


def follow(
    events: Callable[..., Iterator[Event]], *, every: float = 1.0, rest: Callable[[float], Any] = time.sleep
) -> Iterator[Event]:
    """Events as they happen, from now on, without end: ``follow(orbit.events, every=5)`` looks every five seconds.

    A server that is away for a while is waited for.
    """
    since, seen = datetime.now(UTC), dict[UUID, datetime]()
    next(events(limit=1), None)  # whoever may not read them, or has the wrong address, is told so at once
    while True:
        with suppress(Unavailable):
            for event in events(since=since, order="asc"):
                if event.id not in seen:
                    seen[event.id] = event.at
                    yield event
        since = max(since, max(seen.values(), default=since) - _OVERLAP)
        seen = {identity: at for identity, at in seen.items() if at >= since}
        rest(every)
