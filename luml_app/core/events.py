"""Events: who did what to which object. Written in the transaction of the change, and told to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, and_, exists, func, insert, literal, or_, select, true, union_all

from luml_app.core.db import CHANNEL
from luml_app.core.ids import new_id
from luml_app.core.tables import events, webhook_deliveries, webhooks
from luml_app.schemas.events import Event

DELIVERY_DUE = "webhook.due"
"""The action of the notice that wakes couriers."""

_MICROSECOND = timedelta(microseconds=1)


class Notice(msgspec.Struct):
    """What travels by NOTIFY: ids only; who wants to know more asks the registry."""

    action: str
    object_id: UUID | None = None
    orbit_id: UUID | None = None
    satellite_id: UUID | None = None


def record(
    db: Connection, action: str, *, object_id: UUID | None, satellite_id: UUID | None = None, **columns: Any
) -> None:
    """Write one event and notify of it, both in one statement of the caller's transaction.

    `columns` are those of the table `events`; `before` and `after` hold only what changed, and never a secret.
    """
    record_all(db, action, [{}], object_id=object_id, satellite_id=satellite_id, **columns)


def record_all(
    db: Connection,
    action: str,
    changes: Sequence[dict[str, Any]],
    *,
    object_id: UUID | None,
    satellite_id: UUID | None = None,
    **columns: Any,
) -> None:
    """Write several events of one kind about one object, of one moment, in one statement; see `record`.

    `changes` holds the columns in which they differ. The same statement fills the outbox of the webhooks that want
    them: so a delivery exists if and only if its event does, in whatever order transactions commit.
    """
    if not changes:
        return
    at = _moment(object_id)
    common = {"action": action, "object_id": object_id, "at": at, **columns}
    rows = [{"id": new_id(), **common, **change} for change in changes]
    written = insert(events).values(rows if len(rows) > 1 else rows[0]).returning(events.c.id).cte("written")
    orbit_id = columns.get("orbit_id")
    notice = Notice(action=action, object_id=object_id, orbit_id=orbit_id, satellite_id=satellite_id)
    told = _notify(notice, written)
    if (organization_id := columns.get("organization_id")) is not None:
        due = _deliveries(written, action, organization_id, orbit_id)
        db.execute(union_all(told, _notify(Notice(action=DELIVERY_DUE), due)))
    else:
        db.execute(told)


def _moment(object_id: UUID | None) -> Any:
    """The time by the clock, but later than whatever has been told of the object: so its events have the order of its
    changes, although transactions that waited for each other began in another one, and clocks are set back.
    """
    last = select(func.max(events.c.at) + _MICROSECOND).where(events.c.object_id == object_id).scalar_subquery()
    moment = select(func.greatest(func.clock_timestamp(), last).label("at")).cte("moment")
    return select(moment.c.at).scalar_subquery()


def _notify(notice: Notice, rows: Any) -> Any:
    return select(func.pg_notify(CHANNEL, msgspec.json.encode(notice).decode())).select_from(rows)


def _deliveries(written: Any, action: str, organization_id: UUID, orbit_id: UUID | None) -> Any:
    w, d = webhooks, webhook_deliveries
    anywhere = w.c.orbit_id.is_(None)
    here = anywhere if orbit_id is None else or_(anywhere, w.c.orbit_id == orbit_id)
    columns = (w.c.id, written.c.id, literal(action, d.c.action.type))
    wanted = select(*columns).select_from(w.join(written, true()))
    wanted = wanted.where(w.c.organization_id == organization_id, w.c.enabled, here, _fits(action))
    new = insert(d).from_select(["webhook_id", "event_id", "action"], wanted, include_defaults=False)
    return new.returning(d.c.event_id).cte("due")


def _fits(action: str) -> Any:
    """Whether one of the webhook's patterns, such as ``artifact.*``, fits the action."""
    pattern = func.unnest(webhooks.c.actions).column_valued("pattern")
    word = literal(action, events.c.action.type)
    prefix = and_(func.right(pattern, 1) == "*", func.starts_with(word, func.left(pattern, -1)))
    return exists(select(1).where(or_(pattern == word, prefix)))


def record_each(
    db: Connection, action: str, before: Mapping[UUID, Mapping[str, Any]], after: Any = None, **columns: Any
) -> None:
    """Write an event for each of many objects of one place, and notify once; one statement.

    `before` by object; `after` and `columns` are the same for all of them.
    """
    changes = [{"object_id": one, "before": dict(was), "after": after} for one, was in before.items()]
    record_all(db, action, changes, object_id=None, **columns)


def notify(db: Connection, action: str) -> None:
    """Tell whoever listens, when the transaction ends well, of something that is no event."""
    db.execute(select(func.pg_notify(CHANNEL, msgspec.json.encode(Notice(action=action)).decode())))


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of `after` that are not so in `before`, as (what they were, what they are)."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return {key: before.get(key) for key in changed}, changed


def event_of(row: Any) -> Event:
    """An event from its row."""
    return Event(**{name: getattr(row, name) for name in Event.__struct_fields__})
