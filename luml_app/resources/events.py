"""The audit log: what `scope.record` has written, for those who may look into it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import delete, func, or_, select, text

from luml_app.core import tables as t
from luml_app.core.events import event_of
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.jobs.chores import Errand, chore
from luml_app.schemas.events import Event
from luml_app.schemas.fields import Many, Moment, Page, SortOrder

_ORGANIZATION = "/v1/organizations/{organization_id}"
_ORBIT = _ORGANIZATION + "/orbits/{orbit_id}"
_AT_ONCE = 1000
_PRUNED_AT_ONCE = 5000


@chore("events.prune", every=6 * 3600)
def prune_events(errand: Errand) -> int:
    """Delete the events that are older than the operator wants to keep them, some thousands in each transaction; how
    many those were. What was told of tracks stays: the history of their stages is read from it.
    """
    days = errand.settings.events_kept_days
    if days <= 0:
        return 0
    ev = t.events.c
    old = select(ev.id).where(ev.at < func.now() - timedelta(days=days), ~func.starts_with(ev.action, "track."))
    total = 0
    while not errand.is_lost():
        with errand.database.write() as db:
            db.execute(text("SET LOCAL luml.retention = 'on'"))
            deleted = db.execute(delete(t.events).where(ev.id.in_(old.limit(_PRUNED_AT_ONCE)))).rowcount
        total += deleted
        if deleted < _PRUNED_AT_ONCE:
            break
    return total


class EventFilters(TypedDict):
    """Which events: those of one actor (id or name), one object, an action or the beginning of one (`artifact.`), from
    `since` on and before `until`.
    """

    actor: str | None
    action: str | None
    object_id: UUID | None
    since: Moment | None
    until: Moment | None


class Events(Resource):
    """Who did what to which object: the audit log of an organization, and of an orbit."""

    @operation(f"GET {_ORGANIZATION}/events", needs="event:list")
    def list(
        self,
        orbit: UUID | None = None,
        order: SortOrder = "desc",
        limit: Many = 50,
        cursor: str | None = None,
        **filters: Unpack[EventFilters],
    ) -> Page[Event]:
        """The events of an organization.

        Filters: one `orbit`, one `actor` (id or name), one object, an `action` or the beginning of one (`artifact.`),
        from `since` on and before `until`.
        """
        return self._page(orbit, filters, order, limit, cursor)

    @operation(f"GET {_ORGANIZATION}/events/export", needs="event:list", streams=True)
    def export(
        self, orbit: UUID | None = None, cursor: str | None = None, **filters: Unpack[EventFilters]
    ) -> Page[Event]:
        """The events of an organization, oldest first, as JSON lines; filters as for the list."""
        return self._page(orbit, filters, "asc", _AT_ONCE, cursor)

    @operation(f"GET {_ORBIT}/events", needs="event:list")
    def list_in_orbit(
        self,
        order: SortOrder = "desc",
        limit: Many = 50,
        cursor: str | None = None,
        **filters: Unpack[EventFilters],
    ) -> Page[Event]:
        """The events of an orbit; filters as for the organization's."""
        return self._page(self.scope.orbit_id, filters, order, limit, cursor)

    @operation(f"GET {_ORBIT}/events/export", needs="event:list", streams=True)
    def export_of_orbit(self, cursor: str | None = None, **filters: Unpack[EventFilters]) -> Page[Event]:
        """The events of an orbit, oldest first, as JSON lines; filters as for the list."""
        return self._page(self.scope.orbit_id, filters, "asc", _AT_ONCE, cursor)

    def _page(
        self, orbit: UUID | None, filters: EventFilters, order: SortOrder, limit: int, cursor: str | None
    ) -> Page[Event]:
        ev = t.events.c
        wanted = (
            ev.organization_id == self.scope.organization_id,
            *((ev.orbit_id == orbit,) if orbit else ()),
            *((_is_actor(filters["actor"]),) if filters["actor"] else ()),
            *((func.starts_with(ev.action, filters["action"]),) if filters["action"] else ()),
            *((ev.object_id == filters["object_id"],) if filters["object_id"] else ()),
            *((ev.at >= filters["since"],) if filters["since"] else ()),
            *((ev.at < filters["until"],) if filters["until"] else ()),
        )
        rows, following = fetch_page(
            self.db,
            select(t.events).where(*wanted),
            sort=ev.at,
            key=ev.id,
            order=order,
            limit=limit,
            cursor=cursor,
            mark=("events", self.scope.organization_id, orbit, *filters.values()),
        )
        return Page(items=[event_of(row) for row in rows], cursor=following)


def _is_actor(actor: str) -> Any:
    ev = t.events.c
    try:
        return or_(ev.actor_id == UUID(actor), ev.actor_name == actor)
    except ValueError:
        return ev.actor_name == actor
