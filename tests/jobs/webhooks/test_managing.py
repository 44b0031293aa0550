"""Webhooks as their owners see them: who may, secrets, tries, limits, and when one is switched off."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.jobs import deliveries
from luml_app.jobs.courier import Courier
from luml_app.schemas.errors import Conflict, Forbidden, LimitReached, NotFound
from luml_app.web.house import House
from tests.cast import Cast, Person
from tests.jobs.receiver import Open, answer, verified
from tests.jobs.webhooks.outbox import make_due, outbox


def test_a_new_secret_signs_at_once_and_the_old_one_for_a_day(
    receive: Open, hook: Any, act: Any, courier: Courier, house: House, alices: Any, cast: Cast
) -> None:
    receiver = receive()
    made = hook(receiver)
    fresh = alices.webhooks.rotate_secret(cast.here.organization_id, made.webhook.id)
    assert fresh.secret != made.secret
    act("During")
    courier.run_due()
    with house.database.write() as db:
        db.execute(update(t.webhooks).values(old_secret_until=func.now()))
    act("After")
    courier.run_due()
    during, after = receiver.received
    assert verified(made.secret, during)
    assert verified(fresh.secret, during)
    assert not verified(made.secret, after)
    assert verified(fresh.secret, after)
    with house.database.read() as db:
        stored = str(db.execute(select(t.webhooks)).one())
    for secret in (made.secret, fresh.secret):
        assert secret not in stored


def test_a_test_message_is_sent_whatever_the_patterns(
    receive: Open, hook: Any, courier: Courier, alices: Any, cast: Cast
) -> None:
    for actions in (["track.move"], ["*"]):
        receiver = receive()
        ids = (cast.here.organization_id, hook(receiver, *actions).webhook.id)
        courier.run_due()
        receiver.received.clear()
        sent = alices.webhooks.test(*ids)
        courier.run_due()
        assert alices.webhooks.delivery(*ids, sent.id).state == "delivered"
        bodies = [json.loads(got.body) for got in receiver.received]
        assert [body["data"]["id"] for body in bodies if body["type"] == "webhook.test"] == [str(sent.id)]
        alices.webhooks.delete(*ids)


def test_an_endpoint_that_fails_for_days_is_switched_off_with_an_event(
    receive: Open, hook: Any, act: Any, courier: Courier, house: House, alices: Any, cast: Cast
) -> None:
    receiver = receive(answer(500))
    ids = (cast.here.organization_id, hook(receiver).webhook.id)
    act("One")
    act("Two")
    courier.run_due()
    with house.database.write() as db:
        db.execute(update(t.webhooks).values(failing_since=func.now() - timedelta(days=3, hours=1)))
    make_due(house)
    courier.run_due()
    off = alices.webhooks.get(*ids)
    assert not off.enabled
    assert "has failed since" in off.disabled_because
    assert {one.state for one in alices.webhooks.deliveries(*ids).items} == {"failed"}
    (event,) = alices.events.list(ids[0], action="webhook.disable").items
    assert (event.actor_kind, event.object_id, event.why) == ("server", ids[1], off.disabled_because)
    count = len(receiver.received)
    act("Three")
    courier.run_due()
    assert len(receiver.received) == count
    for call in (lambda: alices.webhooks.test(*ids), lambda: alices.webhooks.redeliver(*ids, new_id())):
        with pytest.raises(Conflict, match="enable it"):
            call()
    receiver.behaviours = [answer(200)]
    on = alices.webhooks.update(*ids, enabled=True)
    assert (on.enabled, on.disabled_because, on.failing_since) == (True, None, None)
    act("Four")
    courier.run_due()
    assert len(receiver.received) == count + 1


def test_gone_is_gone(receive: Open, hook: Any, act: Any, courier: Courier, alices: Any, cast: Cast) -> None:
    made = hook(receive(answer(410)))
    act("One")
    courier.run_due()
    assert "410" in alices.webhooks.get(cast.here.organization_id, made.webhook.id).disabled_because


def test_who_may(connect: Any, cast: Cast, house: House) -> None:
    for person in (cast.bob, cast.victor):
        with pytest.raises(Forbidden, match="owner or the organization's admin"):
            connect(person).webhooks.list(cast.here.organization_id)


def test_the_address_is_no_secret_that_events_tell(hook: Any, receive: Open, alices: Any, cast: Cast) -> None:
    made = hook(receive())
    ids = (cast.here.organization_id, made.webhook.id)
    alices.webhooks.update(*ids, url="https://hooks.example.org/services/T0/very-secret")
    alices.webhooks.delete(*ids)
    told = alices.events.list(ids[0], object_id=ids[1]).items
    assert [one.action for one in told] == ["webhook.delete", "webhook.update", "webhook.create"]
    assert told[1].after == {"url": "https://hooks.example.org"}
    assert "very-secret" not in str(told)


def test_there_is_a_limit_and_old_deliveries_are_forgotten(
    alices: Any, cast: Cast, house: House, build_house: Callable[..., House]
) -> None:
    for _ in range(50):
        alices.webhooks.create(cast.here.organization_id, url="https://example.org/", actions=["*"])
    with pytest.raises(LimitReached, match="50"):
        alices.webhooks.create(cast.here.organization_id, url="https://example.org/", actions=["*"])
    old = {
        "webhook_id": new_id(),
        "event_id": new_id(),
        "action": "x",
        "created_at": text("now() - interval '31 days'"),
    }
    with house.database.write() as db:
        db.execute(insert(t.webhook_deliveries).values(old))
    left = len(outbox(house)) - 1
    house.housekeeper.chores = {deliveries.prune_deliveries.kind: deliveries.prune_deliveries}
    house.housekeeper.plan()
    assert house.housekeeper.run_due() == 1
    assert len(outbox(house)) == left


def test_orbits_of_others_are_not_found(alices: Any, cast: Cast, charlie: Person, connect: Any) -> None:
    with pytest.raises(NotFound, match="orbit"):
        alices.webhooks.create(
            cast.here.organization_id, url="https://example.org/", actions=["*"], orbit_id=cast.elsewhere.orbit_id
        )


def test_deliveries_come_in_pages(
    receive: Open, hook: Any, act: Any, courier: Courier, alices: Any, cast: Cast
) -> None:
    where = cast.here.organization_id, hook(receive()).webhook.id
    for number in range(7):
        act(f"C{number}")
    courier.run_due()
    found: list[Any] = []
    cursor = None
    while cursor is not None or not found:
        page = alices.webhooks.deliveries(*where, limit=3, cursor=cursor)
        found += page.items
        cursor = page.cursor
    assert len(found) >= 7
    assert found == alices.webhooks.deliveries(*where, limit=100).items
