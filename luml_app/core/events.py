"""Events: who did what to which object. Written in the transaction of the change, and told to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ClauseElement,
    Connection,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from luml_app.core.db import CHANNEL
from luml_app.core.ids import new_id
from luml_app.core.prepared import Prepared
from luml_app.core.tables import events, webhook_deliveries, webhooks
from luml_app.schemas.events import Event

DELIVERY_DUE = "webhook.due"
"""The action of the notice that wakes couriers."""

_MICROSECOND: Any = literal_column("interval '1 microsecond'")


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
    common = {"action": action, "object_id": object_id, **columns}
    notice = Notice(action=action, object_id=object_id, orbit_id=columns.get("orbit_id"), satellite_id=satellite_id)
    if len(changes) == 1:
        _record_one(db, {**common, **changes[0]}, notice)
        return
    at = _moment(object_id)
    rows = [{"id": new_id(), "at": at, **common, **change} for change in changes]
    written = insert(events).values(rows).returning(events.c.id).cte("written")
    told = _notify(_text_of(notice), written)
    if (organization_id := columns.get("organization_id")) is not None:
        due = _deliveries(written, action, organization_id, columns.get("orbit_id"))
        db.execute(union_all(told, _notify(_text_of(Notice(action=DELIVERY_DUE)), due)))
    else:
        db.execute(told)


def _record_one(db: Connection, row: dict[str, Any], notice: Notice) -> None:
    """What nearly every change records: one event. Its statement is prepared."""
    values = {"id": new_id(), **dict.fromkeys(_TOLD), **row, "notice": _text_of(notice)}
    for name in _DOCUMENTS:
        values[name] = None if values[name] is None else msgspec.json.encode(values[name]).decode()
    _ONE_EVENT.all(db, **{f"new_{name}": value for name, value in values.items()})


def _moment(object_id: Any) -> Any:
    """The time by the clock, but later than whatever has been told of the object: so its events have the order of its
    changes, although transactions that waited for each other began in another one, and clocks are set back.
    """
    last = select(func.max(events.c.at) + _MICROSECOND).where(events.c.object_id == object_id).scalar_subquery()
    moment = select(func.greatest(func.clock_timestamp(), last).label("at")).cte("moment")
    return select(moment.c.at).scalar_subquery()


def _text_of(notice: Notice) -> str:
    return msgspec.json.encode(notice).decode()


def _notify(notice: Any, rows: Any) -> Any:
    return select(func.pg_notify(CHANNEL, notice)).select_from(rows)


def _deliveries(written: Any, action: Any, organization_id: Any, orbit_id: Any) -> Any:
    """The rows of the outbox: for each webhook of the place that wants such events."""
    w, d = webhooks, webhook_deliveries
    here = or_(w.c.orbit_id.is_(None), w.c.orbit_id == _given(orbit_id, w.c.orbit_id))
    columns = (w.c.id, written.c.id, _given(action, d.c.action))
    wanted = select(*columns).select_from(w.join(written, true()))
    wanted = wanted.where(w.c.organization_id == organization_id, w.c.enabled, here, _fits(action))
    new = insert(d).from_select(["webhook_id", "event_id", "action"], wanted, include_defaults=False)
    return new.returning(d.c.event_id).cte("due")


def _given(value: Any, column: Any) -> Any:
    """A value, or the place of one in a prepared statement."""
    return value if isinstance(value, ClauseElement) else literal(value, column.type)


def _fits(action: Any) -> Any:
    """Whether one of the webhook's patterns, such as ``artifact.*``, fits the action."""
    pattern = func.unnest(webhooks.c.actions).column_valued("pattern")
    word = _given(action, events.c.action)
    prefix = and_(func.right(pattern, 1) == "*", func.starts_with(word, func.left(pattern, -1)))
    return exists(select(1).where(or_(pattern == word, prefix)))


def _one_event() -> Prepared:
    new = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in events.c}
    new["at"] = _moment(new["object_id"])
    written = insert(events).values(new).returning(events.c.id).cte("written")
    told = _notify(bindparam("new_notice", type_=Text), written)
    due = _deliveries(written, new["action"], new["organization_id"], new["orbit_id"])
    return Prepared(union_all(told, _notify(_text_of(Notice(action=DELIVERY_DUE)), due)))


_TOLD = tuple(column.name for column in events.c if column.name not in {"id", "at"})
_DOCUMENTS = ("before", "after")
_ONE_EVENT = _one_event()


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
