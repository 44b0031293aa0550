"""The outbox of webhooks: what is due, to whom, and what came of it.

A webhook is leased to one courier at a time, so that one that answers slowly holds up nobody but itself, and its
messages leave it one after the other. A delivery that a killed courier had in hand is due again when the lease runs
out: messages arrive at least once, each under an id of its own.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, text, true, update

from luml_app.core.events import record
from luml_app.core.ids import new_id
from luml_app.core.tables import events, webhook_deliveries, webhooks
from luml_app.jobs.chores import Errand, chore
from luml_app.jobs.posting import Outcome

LEASE_SECONDS = 60.0
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""Seconds after the first, second … failure of a message; after the last one it has failed: about a day in all."""
LONGEST_PAUSE = 900.0
DISABLED_AFTER = timedelta(days=3)
KEPT = timedelta(days=30)
_REMEMBERED = 20
_PRUNED_AT_ONCE = 5000
# The condition of the partial index, letter by letter (see `jobs.queue`).
_PENDING = text("webhook_deliveries.state = 'pending'")
_UNLEASED = {"lease_token": None, "lease_expires_at": None}


def claim_webhook(db: Connection) -> Any | None:
    """Lease the webhook whose next message has been due for longest; None when none is due."""
    w = webhooks.c
    due = _due_at().lateral("due")
    free = or_(w.lease_expires_at.is_(None), w.lease_expires_at <= func.now())
    awake = or_(w.paused_until.is_(None), w.paused_until <= func.now())
    query = select(w.id).join(due, true()).where(w.enabled, free, awake, due.c.at <= func.now()).order_by(due.c.at)
    first = query.limit(1).with_for_update(of=webhooks, skip_locked=True).scalar_subquery()
    lease = {"lease_token": new_id(), "lease_expires_at": func.now() + timedelta(seconds=LEASE_SECONDS)}
    return db.execute(update(webhooks).where(w.id == first).values(lease).returning(webhooks)).one_or_none()


def seconds_until_due(db: Connection) -> float:
    """How long until a message is due that nobody is busy with; infinity when none waits."""
    w = webhooks.c
    due = _due_at().lateral("due")
    moment = func.greatest(due.c.at, w.paused_until, w.lease_expires_at)
    query = select(func.extract("epoch", func.min(moment) - func.now())).select_from(webhooks.join(due, true()))
    seconds = db.scalar(query.where(w.enabled, due.c.at.isnot(None)))
    return math.inf if seconds is None else max(0.05, float(seconds))


def _due_at() -> Any:
    d = webhook_deliveries.c
    mine = select(func.min(d.next_attempt_at).label("at")).where(d.webhook_id == webhooks.c.id, _PENDING)
    return mine.correlate(webhooks)


def next_due(db: Connection, webhook: Any) -> Any | None:
    """The next message of a webhook that is due: the delivery, and the event in columns that begin with ``event_``."""
    d = webhook_deliveries.c
    of_event = [column.label(f"event_{column.name}") for column in events.c if column.name != "id"]
    joined = webhook_deliveries.outerjoin(events, events.c.id == d.event_id)
    due = select(webhook_deliveries, *of_event).select_from(joined)
    due = due.where(d.webhook_id == webhook.id, _PENDING, d.next_attempt_at <= func.now())
    return db.execute(due.order_by(d.next_attempt_at, d.event_id).limit(1)).one_or_none()


def note_outcome(db: Connection, webhook: Any, delivery: Any, outcome: Outcome) -> bool:
    """Keep what came of an attempt, and renew the lease; whether to go on: not when the lease is lost, or the webhook
    pauses or is disabled.
    """
    now = datetime.now(UTC)
    state = _of_webhook(webhook, outcome)
    mine = and_(webhooks.c.id == webhook.id, webhooks.c.lease_token == webhook.lease_token)
    row = db.execute(update(webhooks).where(mine).values(state).returning(webhooks)).one_or_none()
    if row is None:
        return False
    d = webhook_deliveries.c
    this = and_(d.webhook_id == delivery.webhook_id, d.event_id == delivery.event_id)
    db.execute(update(webhook_deliveries).where(this).values(_of_delivery(delivery, outcome, now)))
    if (why := _why_disabled(row, outcome, now)) is not None:
        disable(db, row, why)
        return False
    return row.paused_until is None


def _of_webhook(webhook: Any, outcome: Outcome) -> dict[str, Any]:
    lease = {"lease_expires_at": func.now() + timedelta(seconds=LEASE_SECONDS)}
    if outcome.succeeded:
        return {**lease, "failures": 0, "failing_since": None, "paused_until": None}
    failures = webhooks.c.failures + 1
    failing = {"failures": failures, "failing_since": func.coalesce(webhooks.c.failing_since, func.now())}
    if outcome.status is not None:
        return {**lease, **failing, "paused_until": None}
    # Nobody answers: further messages would only wait for the same time-out.
    seconds = func.least(LONGEST_PAUSE, 5 * func.power(2, func.least(webhooks.c.failures, 10)))
    return {**lease, **failing, "paused_until": func.now() + seconds * timedelta(seconds=1)}


def _of_delivery(delivery: Any, outcome: Outcome, now: datetime) -> dict[str, Any]:
    told = {
        "at": now,
        "status": outcome.status,
        "milliseconds": outcome.milliseconds,
        "error": outcome.error,
        "answer": outcome.answer,
    }
    tries = delivery.tries + 1
    columns = {"attempts": [*delivery.attempts, told][-_REMEMBERED:], "tries": tries}
    if outcome.succeeded or tries > len(PAUSES):
        return {**columns, "state": "delivered" if outcome.succeeded else "failed", "finished_at": func.now()}
    return {**columns, "next_attempt_at": func.now() + timedelta(seconds=PAUSES[tries - 1])}


def _why_disabled(row: Any, outcome: Outcome, now: datetime) -> str | None:
    if outcome.status == 410:
        return "It answered 410: it does not want messages any more."
    if row.failing_since is not None and now - row.failing_since > DISABLED_AFTER:
        return f"It has failed since {row.failing_since:%Y-%m-%d %H:%M} UTC."
    return None


def disable(db: Connection, webhook: Any, why: str) -> None:
    """Disable a webhook on the server's own account: nothing more is sent, and what waited has failed."""
    off = {**_UNLEASED, "enabled": False, "disabled_because": why, "paused_until": None}
    db.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(off))
    end_pending(db, webhook.id)
    record(
        db,
        "webhook.disable",
        object_id=webhook.id,
        organization_id=webhook.organization_id,
        orbit_id=webhook.orbit_id,
        actor_kind="server",
        why=why,
    )


def end_pending(db: Connection, webhook_id: Any) -> None:
    """What waits for this webhook has failed; it can be redelivered by hand."""
    mine = and_(webhook_deliveries.c.webhook_id == webhook_id, _PENDING)
    db.execute(update(webhook_deliveries).where(mine).values(state="failed", finished_at=func.now()))


def end_without_event(db: Connection, delivery: Any) -> None:
    """Give up a message whose event is kept no longer."""
    d = webhook_deliveries.c
    this = and_(d.webhook_id == delivery.webhook_id, d.event_id == delivery.event_id)
    db.execute(update(webhook_deliveries).where(this).values(state="failed", finished_at=func.now()))


def release(db: Connection, webhook: Any) -> None:
    """Give a lease back."""
    mine = and_(webhooks.c.id == webhook.id, webhooks.c.lease_token == webhook.lease_token)
    db.execute(update(webhooks).where(mine).values(_UNLEASED))


@chore("webhooks.prune", every=6 * 3600)
def prune_deliveries(errand: Errand) -> int:
    """Forget old deliveries, some thousands in each transaction; how many those were."""
    d = webhook_deliveries.c
    old = select(d.webhook_id, d.event_id).where(d.created_at < func.now() - KEPT).limit(_PRUNED_AT_ONCE)
    total = 0
    while not errand.is_lost():
        with errand.database.write() as db:
            found = old.subquery("old")
            both = and_(d.webhook_id == found.c.webhook_id, d.event_id == found.c.event_id)
            deleted = db.execute(delete(webhook_deliveries).where(both)).rowcount
        total += deleted
        if deleted < _PRUNED_AT_ONCE:
            break
    return total
