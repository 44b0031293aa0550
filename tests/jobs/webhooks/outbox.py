"""A look into the outbox of webhooks, and time that passes for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.web.house import House


def make_due(house: House) -> None:
    """Time passes."""
    with house.database.write() as db:
        db.execute(update(t.webhook_deliveries).values(next_attempt_at=func.now()))
        db.execute(update(t.webhooks).values(paused_until=None))


def outbox(house: House) -> list[Any]:
    with house.database.read() as db:
        return list(db.execute(select(t.webhook_deliveries).order_by(t.webhook_deliveries.c.created_at)))
