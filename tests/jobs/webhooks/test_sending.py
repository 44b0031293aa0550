"""What is sent, and that nothing is lost, against real HTTPS servers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, update

from luml_app.core import tables as t
from luml_app.core.events import record
from luml_app.core.ids import new_id
from luml_app.jobs import deliveries
from luml_app.jobs.courier import Courier
from luml_app.schemas.errors import NotFound
from luml_app.web.house import House
from tests.cast import MASTER_KEY, Cast
from tests.jobs.receiver import LOOPBACK, Open, answer, verified
from tests.jobs.webhooks.outbox import make_due, outbox
from tests.serving import RunningServer, until


def test_a_change_arrives_signed_and_whole(
    receive: Open, hook: Callable[..., Any], act: Callable[[str], Any], courier: Courier, cast: Cast, alices: Any
) -> None:
    receiver = receive()
    made = hook(receiver)
    collection = act("Flamingos")
    courier.run_due()
    (got,) = receiver.received
    assert verified(made.secret, got)
    assert not verified("whsec_" + base64.b64encode(b"another secret").decode(), got)
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    assert (got.path, got.headers["content-type"]) == ("/hooks/of/luml?a=b", "application/json")
    assert got.headers["host"] == f"localhost:{receiver.port}"
    body = json.loads(got.body)
    assert body.keys() == {"type", "timestamp", "data"}
    assert (body["type"], body["data"]["object_id"]) == ("collection.create", str(collection.id))
    assert (body["data"]["actor_name"], body["data"]["id"]) == ("alice@example.org", got.headers["webhook-id"])
    assert body["data"]["after"]["name"] == "Flamingos"
    (delivery,) = alices.webhooks.deliveries(cast.here.organization_id, made.webhook.id).items
    assert (delivery.state, str(delivery.id)) == ("delivered", got.headers["webhook-id"])
    assert [(one.status, one.error) for one in delivery.attempts] == [(204, None)]


def test_only_what_fits_is_sent(receive: Open, hook: Any, act: Any, courier: Courier, alices: Any, cast: Cast) -> None:
    everything, moves, exact, elsewhere = (receive() for _ in range(4))
    other = alices.orbits.create(cast.here.organization_id, name="Pond", bucket_secret_id=cast.here.bucket_id)
    for receiver, actions in (
        (everything, ["*"]),
        (moves, ["track.*"]),
        (exact, ["track.delete", "collection.create"]),
    ):
        hook(receiver, *actions)
    hook(elsewhere, "*", orbit_id=other.id)
    act("Here")
    alices.collections.create(cast.here.organization_id, other.id, name="There", type="model")
    alices.collections.create(*cast.here.path, name="collection.createx", type="model")
    courier.run_due()
    assert len([got for got in everything.received if got.body.startswith(b'{"type":"collection.create"')]) == 3
    assert moves.received == []
    assert len(exact.received) == 3
    assert {json.loads(got.body)["data"]["orbit_id"] for got in elsewhere.received} == {str(other.id)}
    assert len([got for got in elsewhere.received if got.body.startswith(b'{"type":"collection.create"')]) == 1


def test_strangers_get_nothing(receive: Open, hook: Any, connect: Any, courier: Courier, cast: Cast) -> None:
    receiver = receive()
    hook(receiver, "*")
    charlie = connect(cast.charlie)
    charlie.collections.create(*cast.elsewhere.path, name="Secret recipes", type="model")
    courier.run_due()
    assert b"Secret recipes" not in b"".join(got.body for got in receiver.received)


def test_what_fails_comes_again_under_the_same_id(
    receive: Open, hook: Any, act: Any, courier: Courier, house: House, alices: Any, cast: Cast
) -> None:
    receiver = receive(answer(500, b"out of tea"), answer(200))
    made = hook(receiver)
    act("Hatter")
    courier.run_due()
    (waiting,) = alices.webhooks.deliveries(cast.here.organization_id, made.webhook.id, state="pending").items
    assert timedelta(0) < waiting.next_attempt_at - waiting.attempts[0].at <= timedelta(seconds=6)
    assert alices.webhooks.get(cast.here.organization_id, made.webhook.id).failing_since is not None
    courier.run_due()
    assert len(receiver.received) == 1
    make_due(house)
    courier.run_due()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert verified(made.secret, second)
    (done,) = alices.webhooks.deliveries(cast.here.organization_id, made.webhook.id).items
    assert [(one.status, one.answer) for one in done.attempts] == [(500, "out of tea"), (200, "")]
    assert alices.webhooks.get(cast.here.organization_id, made.webhook.id).failing_since is None


def test_it_is_given_up_after_a_day_and_redelivered_by_hand(
    receive: Open, hook: Any, act: Any, courier: Courier, house: House, alices: Any, cast: Cast
) -> None:
    assert sum(deliveries.PAUSES) == pytest.approx(86_400, rel=0.02)
    receiver = receive(answer(503))
    ids = (cast.here.organization_id, hook(receiver).webhook.id)
    act("Dormouse")
    for _ in range(len(deliveries.PAUSES) + 3):
        make_due(house)
        courier.run_due()
    (failed,) = alices.webhooks.deliveries(*ids).items
    assert (failed.state, len(failed.attempts), len(receiver.received)) == ("failed", 11, 11)
    receiver.behaviours = [answer(200)]
    assert alices.webhooks.redeliver(*ids, failed.id).state == "pending"
    courier.run_due()
    again = alices.webhooks.delivery(*ids, failed.id)
    assert (again.state, len(again.attempts), again.attempts[-1].status) == ("delivered", 12, 200)
    assert receiver.received[-1].headers["webhook-id"] == str(failed.id)
    for call in (alices.webhooks.redeliver, alices.webhooks.delivery):
        with pytest.raises(NotFound, match="delivery"):
            call(*ids, new_id())


def test_transactions_that_end_in_another_order_lose_nothing(
    receive: Open, hook: Any, house: House, courier: Courier, cast: Cast
) -> None:
    receiver = receive()
    hook(receiver, "*")
    here = {"organization_id": cast.here.organization_id, "orbit_id": cast.here.orbit_id, "actor_kind": "user"}
    courier.run_due()
    receiver.received.clear()
    slow = house.database.engine.connect()
    transaction = slow.begin()
    record(slow, "collection.slow", object_id=new_id(), **here)
    with house.database.write() as db:
        record(db, "collection.quick", object_id=new_id(), **here)
    courier.run_due()
    transaction.commit()
    slow.close()
    with pytest.raises(ZeroDivisionError), house.database.write() as db:
        record(db, "collection.never", object_id=new_id(), **here)
        _ = 1 / 0
    courier.run_due()
    assert [json.loads(got.body)["type"] for got in receiver.received] == ["collection.quick", "collection.slow"]


def test_many_couriers_send_each_message_once(
    receive: Open, hook: Any, house: House, act: Any, courier: Courier
) -> None:
    receivers = [receive() for _ in range(3)]
    for one in receivers:
        hook(one)
    for number in range(20):
        act(f"C{number}")
    threads = [threading.Thread(target=courier.run_due) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in receivers:
        assert len({got.headers["webhook-id"] for got in one.received}) == len(one.received) == 20


def test_a_running_server_delivers_at_once(
    receive: Open, hook: Any, act: Any, house: House, start_server: Callable[..., RunningServer]
) -> None:
    start_server(house, role="api")
    receiver = receive()
    hook(receiver)
    act("Now")
    until(lambda: receiver.received, "it is delivered")


def test_a_server_that_is_killed_in_the_middle_loses_nothing(
    receive: Open, hook: Any, act: Any, house: House, courier: Courier, authority: tuple[Path, Path], tmp_path: Path
) -> None:
    receiver = receive()
    receiver.behaviours = [receiver.hang(), answer(204)]
    hook(receiver)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "luml_app.cli", "serve", "--role", "api", "--port", "0"],
        env={
            **kept,
            "LUML_HOME": str(tmp_path / "served"),
            "LUML_DATABASE_URL": str(house.settings.database_url),
            "LUML_SECRET_KEYS": MASTER_KEY,
            "LUML_WEBHOOK_NETWORKS": LOOPBACK,
            "LUML_WEBHOOK_CA_FILE": str(authority[0]),
        },
        stdout=subprocess.PIPE,
    )
    try:
        act("In the hands of the dead")
        until(lambda: receiver.received, "the message is on its way")
    finally:
        server.kill()
        server.communicate()
    assert courier.run_due() == 0
    with house.database.write() as db:
        db.execute(update(t.webhooks).values(lease_expires_at=func.now()))
    courier.run_due()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [row.state for row in outbox(house)] == ["delivered"]
