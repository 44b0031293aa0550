"""Webhooks: events sent to addresses of an organization's choice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from luml_app.core import tables as t
from luml_app.core.events import DELIVERY_DUE, difference, notify
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.jobs.addresses import AddressRules
from luml_app.jobs.deliveries import end_pending
from luml_app.jobs.signing import new_secret
from luml_app.resources.changes import sent
from luml_app.schemas.errors import Conflict, LimitReached, NotFound
from luml_app.schemas.fields import Limit, Page, SortOrder
from luml_app.schemas.webhooks import (
    Delivery,
    DeliveryState,
    Webhook,
    WebhookCreate,
    WebhookSecret,
    WebhookUpdate,
)

_ALL = "/v1/organizations/{organization_id}/webhooks"
_ONE = _ALL + "/{webhook_id}"
_DELIVERIES = _ONE + "/deliveries"
_MOST = 50
_NO_DELIVERY = "There is no such delivery."
_OVERLAP = timedelta(hours=24)
Hooks = list[Webhook]


class Webhooks(Resource):
    """Addresses to which the events of an organization are sent, signed, and again until they arrive."""

    @operation(f"POST {_ALL}", needs="webhook:create")
    def create(self, body: WebhookCreate) -> WebhookSecret:
        """Create a webhook; the answer shows its secret, once."""
        self._rules().check_url(body.url)
        self._check_place(body.orbit_id)
        secret = new_secret()
        values = msgspec.structs.asdict(body) | {"organization_id": self.scope.organization_id}
        new = insert(t.webhooks).values(id=new_id(), **values, secret=self.scope.keys.encrypt(secret))
        row = self.db.execute(new.returning(t.webhooks)).one()
        self._record("webhook.create", row.id, orbit_id=row.orbit_id, after=_told(values))
        return WebhookSecret(webhook=_webhook(row), secret=secret)

    @operation(f"GET {_ALL}", needs="webhook:list")
    def list(self) -> Hooks:
        """The webhooks of an organization, oldest first."""
        w = t.webhooks.c
        mine = select(t.webhooks).where(w.organization_id == self.scope.organization_id)
        return [_webhook(row) for row in self.db.execute(mine.order_by(w.created_at, w.id))]

    @operation(f"GET {_ONE}", needs="webhook:read")
    def get(self) -> Webhook:
        """A webhook."""
        return _webhook(self.scope.row(t.webhooks))

    @operation(f"PATCH {_ONE}", needs="webhook:update")
    def update(self, body: WebhookUpdate) -> Webhook:
        """Change address, actions or description, or switch it on and off; what waits while it is off has failed."""
        one, w = self.scope.row(t.webhooks), t.webhooks.c
        before, changed = difference(one.columns, sent(body, t.webhooks))
        if not changed:
            return _webhook(one)
        if "url" in changed:
            self._rules().check_url(changed["url"])
        values = changed | {"updated_at": func.now()}
        if "enabled" in changed or "url" in changed:  # it begins anew
            values |= {"disabled_because": None, "failures": 0, "failing_since": None, "paused_until": None}
        row = self.db.execute(update(t.webhooks).where(w.id == one.id).values(values).returning(t.webhooks)).one()
        if changed.get("enabled") is False:
            end_pending(self.db, one.id)
        self._record("webhook.update", one.id, orbit_id=one.orbit_id, before=_told(before), after=_told(changed))
        return _webhook(row)

    @operation(f"DELETE {_ONE}", needs="webhook:delete", status=204)
    def delete(self) -> None:
        """Delete a webhook with the history of its deliveries."""
        one = self.scope.row(t.webhooks)
        self.db.execute(delete(t.webhook_deliveries).where(t.webhook_deliveries.c.webhook_id == one.id))
        self.db.execute(delete(t.webhooks).where(t.webhooks.c.id == one.id))
        self._record("webhook.delete", one.id, orbit_id=one.orbit_id, before=_told({"url": one.url}))

    @operation(f"POST {_ONE}/secret", needs="webhook:update")
    def rotate_secret(self) -> WebhookSecret:
        """Make a new secret, shown once. For a day messages are signed with the old one, too."""
        one, w, secret = self.scope.row(t.webhooks), t.webhooks.c, new_secret()
        values = {"secret": self.scope.keys.encrypt(secret), "old_secret": w.secret, "updated_at": func.now()}
        change = update(t.webhooks).where(w.id == one.id).values(**values, old_secret_until=func.now() + _OVERLAP)
        row = self.db.execute(change.returning(t.webhooks)).one()
        self._record("webhook.rotate_secret", one.id, orbit_id=one.orbit_id)
        return WebhookSecret(webhook=_webhook(row), secret=secret)

    @operation(f"POST {_ONE}/test", needs="webhook:update")
    def test(self) -> Delivery:
        """Send a message of the action `webhook.test`, whatever the webhook's patterns; its delivery, which waits."""
        one, d = self._enabled(), t.webhook_deliveries
        self._record("webhook.test", one.id, orbit_id=one.orbit_id)
        ev = t.events.c
        told = select(ev.id).where(ev.object_id == one.id, ev.action == "webhook.test")
        event_id = told.order_by(ev.at.desc()).limit(1).scalar_subquery()
        new = upsert(d).values(webhook_id=one.id, event_id=event_id, action="webhook.test")
        # A webhook whose patterns fit has it already; the update makes that row the answer.
        again = new.on_conflict_do_update(index_elements=["webhook_id", "event_id"], set_={"state": "pending"})
        row = self.db.execute(again.returning(d)).one()
        notify(self.db, DELIVERY_DUE)
        return _delivery(row)

    @operation(f"GET {_DELIVERIES}", needs="webhook:read")
    def deliveries(
        self,
        state: DeliveryState | None = None,
        order: SortOrder = "desc",
        limit: Limit = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """The messages of the last month, each with its attempts."""
        d, one = t.webhook_deliveries, self.scope.row(t.webhooks)
        query = select(d, d.c.event_id.label("id")).where(d.c.webhook_id == one.id)
        rows, following = fetch_page(
            self.db,
            query.where(d.c.state == state) if state else query,
            sort=d.c.created_at,
            key=d.c.event_id,
            order=order,
            limit=limit,
            cursor=cursor,
            mark=("deliveries", one.id, state),
        )
        return Page(items=[_delivery(row) for row in rows], cursor=following)

    @operation(f"GET {_DELIVERIES}/{{delivery_id}}", needs="webhook:read")
    def delivery(self, delivery_id: UUID) -> Delivery:
        """A message with its attempts."""
        d = t.webhook_deliveries
        this = (d.c.webhook_id == self.scope.row(t.webhooks).id, d.c.event_id == delivery_id)
        row = self.db.execute(select(d).where(*this)).one_or_none()
        if row is None:
            raise NotFound(_NO_DELIVERY)
        return _delivery(row)

    @operation(f"POST {_DELIVERIES}/{{delivery_id}}/redeliver", needs="webhook:update")
    def redeliver(self, delivery_id: UUID) -> Delivery:
        """Send a message again, under the same `webhook-id`."""
        one, d = self._enabled(), t.webhook_deliveries
        this = (d.c.webhook_id == one.id, d.c.event_id == delivery_id)
        anew = {"state": "pending", "tries": 0, "next_attempt_at": func.now(), "finished_at": None}
        row = self.db.execute(update(d).where(*this).values(anew).returning(d)).one_or_none()
        if row is None:
            raise NotFound(_NO_DELIVERY)
        self._record("webhook.redeliver", one.id, orbit_id=one.orbit_id, after={"delivery_id": delivery_id})
        notify(self.db, DELIVERY_DUE)
        return _delivery(row)

    def _enabled(self) -> Any:
        one = self.scope.row(t.webhooks)
        if not one.enabled:
            raise Conflict("The webhook is switched off; enable it first.")
        return one

    def _rules(self) -> AddressRules:
        return AddressRules(self.scope.settings.webhook_networks)

    def _check_place(self, orbit_id: UUID | None) -> None:
        o, w = t.orbits.c, t.webhooks.c
        mine = select(o.id).where(o.id == orbit_id, o.organization_id == self.scope.organization_id)
        count = select(func.count()).where(w.organization_id == self.scope.organization_id)
        row = self.db.execute(select(mine.exists().label("known"), count.scalar_subquery().label("count"))).one()
        if orbit_id is not None and not row.known:
            raise NotFound("There is no such orbit in this organization.")
        if row.count >= _MOST:
            raise LimitReached(f"An organization may have {_MOST} webhooks; delete one.")

    def _record(self, action: str, webhook_id: UUID, **columns: Any) -> None:
        self.scope.record(action, webhook_id, **columns)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """What an event tells: of an address, only the host; many receivers know their callers by a secret path."""
    told = dict(values)
    if "url" in told:
        parts = urlsplit(told["url"])
        told["url"] = f"{parts.scheme}://{parts.hostname}"
    return told


def _webhook(row: Any) -> Webhook:
    return Webhook(**{name: getattr(row, name) for name in Webhook.__struct_fields__})


def _delivery(row: Any) -> Delivery:
    hidden = {"id", "attempts", "next_attempt_at"}
    columns = {name: getattr(row, name) for name in Delivery.__struct_fields__ if name not in hidden}
    due = row.next_attempt_at if row.state == "pending" else None
    return msgspec.convert({"id": row.event_id, "attempts": row.attempts, "next_attempt_at": due, **columns}, Delivery)
