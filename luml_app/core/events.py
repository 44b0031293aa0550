"""Events: who did what to which object. Written in the transaction of the change, and told to whoever listens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, insert, select

from luml_app.core.db import CHANNEL
from luml_app.core.ids import new_id
from luml_app.core.tables import events


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
    notice = Notice(action=action, object_id=object_id, orbit_id=columns.get("orbit_id"), satellite_id=satellite_id)
    written = (
        insert(events).values(id=new_id(), action=action, object_id=object_id, **columns).returning(events.c.id).cte()
    )
    db.execute(select(func.pg_notify(CHANNEL, msgspec.json.encode(notice).decode())).select_from(written))


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of `after` that are not so in `before`, as (what they were, what they are)."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return {key: before.get(key) for key in changed}, changed
