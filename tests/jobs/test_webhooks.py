"""Webhooks, against real HTTPS servers: what is sent, to whom not, and that nothing is lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from luml_app.core import tables as t
from luml_app.core.events import record
from luml_app.core.ids import new_id
from luml_app.jobs import courier as couriers
from luml_app.jobs import deliveries, posting
from luml_app.jobs.addresses import AddressRules
from luml_app.jobs.courier import Courier
from luml_app.jobs.posting import Poster
from luml_app.schemas.errors import ConfigurationError, Conflict, Forbidden, Invalid, LimitReached, NotFound
from luml_app.web.house import House
from tests.cast import MASTER_KEY, Cast, Person
from tests.jobs.receiver import Receiver, answer, make_authority
from tests.serving import RunningServer, until

LOOPBACK = "127.0.0.0/8, ::1/128"
Open = Callable[..., Receiver]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receive(authority: tuple[Path, Path]) -> Iterator[Open]:
    """Opens receivers that behave so."""
    opened: list[Receiver] = []

    def open_one(*behaviours: Any, secure: bool = True) -> Receiver:
        opened.append(Receiver(authority[1] if secure else None, list(behaviours) or [answer(204)]))
        return opened[-1]

    yield open_one
    for one in opened:
        one.stop()


@pytest.fixture
def house(build_house: Callable[..., House], authority: tuple[Path, Path]) -> House:
    """One whose operator allows the loopback, and trusts the authority of the tests."""
    return build_house(webhook_networks=LOOPBACK, webhook_ca_file=str(authority[0]))


@pytest.fixture
def courier(house: House) -> Iterator[Courier]:
    courier = Courier(house.database, house.keys, house.settings)
    yield courier
    courier.stop()


@pytest.fixture
def hook(alices: Any, cast: Cast) -> Callable[..., Any]:
    """Creates a webhook of Alice's organization that sends to a receiver."""

    def create(receiver: Receiver, *actions: str, **fields: Any) -> Any:
        wanted = list(actions) or ["collection.*"]
        return alices.webhooks.create(cast.here.organization_id, url=receiver.url, actions=wanted, **fields)

    return create


@pytest.fixture
def act(alices: Any, cast: Cast) -> Callable[[str], Any]:
    """Something happens: Alice creates a collection of this name."""
    return lambda name: alices.collections.create(*cast.here.path, name=name, type="model")


def verified(secret: str, received: Any) -> bool:
    """The check of a receiver, written from the specification alone."""
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    digest = hmac.new(base64.b64decode(secret[len("whsec_") :]), signed, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return expected in received.headers["webhook-signature"].split(" ")


def make_due(house: House) -> None:
    """Time passes."""
    with house.database.write() as db:
        db.execute(update(t.webhook_deliveries).values(next_attempt_at=func.now()))
        db.execute(update(t.webhooks).values(paused_until=None))


def outbox(house: House) -> list[Any]:
    with house.database.read() as db:
        return list(db.execute(select(t.webhook_deliveries).order_by(t.webhook_deliveries.c.created_at)))


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


def test_who_answers_never_holds_up_nobody_else(
    receive: Open, hook: Any, act: Any, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 2.0)
    hanging = [receive() for _ in range(couriers.WORKERS - 1)]
    for one in hanging:
        one.behaviours = [one.hang()]
        hook(one)
    prompt = receive()
    hook(prompt)
    house.courier.start()
    for number in range(30):
        act(f"C{number}")
        house.courier.wake()
    until(lambda: len(prompt.received) == 30, "the prompt one has got all")

    def paused() -> int:
        with house.database.read() as db:
            waiting = select(func.count()).select_from(t.webhooks).where(t.webhooks.c.paused_until.isnot(None))
            return db.scalar(waiting) or 0

    until(lambda: paused() == len(hanging), "the others are left alone for a while")


def test_an_answer_in_drops_is_cut_off(
    receive: Open, authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time; all of them never would."""
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.5)
    receiver = receive()

    def drip(handler: Any, _: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drop: ")
        while not receiver.released.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    receiver.behaviours = [drip]
    outcome = Poster(AddressRules(LOOPBACK), str(authority[0])).post(receiver.url, b"{}", {})
    assert outcome.error == "No whole answer within 0.5 s."
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word of TLS
        port = silent.getsockname()[1]
        outcome = Poster(AddressRules(LOOPBACK), None).post(f"https://localhost:{port}/", b"{}", {})
    assert outcome.error == "No whole answer within 0.5 s."


def test_of_a_long_answer_little_is_read(receive: Open, authority: tuple[Path, Path]) -> None:
    receiver = receive(answer(200, b"\0long" * 10**6))
    outcome = Poster(AddressRules(LOOPBACK), str(authority[0])).post(receiver.url, b"{}", {})
    assert outcome.succeeded
    assert outcome.answer is not None
    assert len(outcome.answer) == posting.ANSWER_BYTES
    assert "\0" not in outcome.answer


def test_redirects_are_not_followed(receive: Open, hook: Any, act: Any, courier: Courier, house: House) -> None:
    target = receive()
    receiver = receive(answer(302, Location=target.url), answer(307, Location="http://169.254.169.254/latest"))
    hook(receiver)
    act("Elsewhere")
    courier.run_due()
    make_due(house)
    courier.run_due()
    assert target.received == []
    (row,) = outbox(house)
    assert [one["status"] for one in row.attempts] == [302, 307]


PRIVATE = (
    "https://127.0.0.1/",
    "https://10.1.2.3/x",
    "https://192.168.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
)


@pytest.mark.parametrize(
    "url",
    [*PRIVATE, "http://example.org/", "ftp://example.org/", "https://", "https://a:b@example.org/", "https://x:99999/"],
)
def test_addresses_that_are_refused_at_once(url: str, build_house: Any, cast: Cast) -> None:
    from luml_app.core.scope import Credentials

    api = build_house().api(Credentials(token=cast.alice.api_key))
    with pytest.raises(Invalid, match="url"):
        api.webhooks.create(cast.here.organization_id, url=url, actions=["*"])
    made = api.webhooks.create(cast.here.organization_id, url="https://example.org/", actions=["*"])
    with pytest.raises(Invalid, match="url"):
        api.webhooks.update(cast.here.organization_id, made.webhook.id, url=url)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_to_a_private_place_is_refused_when_connecting(
    address: str, receive: Open, authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name looked public when the webhook was made; what counts is where it leads now."""
    receiver = receive()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = (address, receiver.port, 0, 0) if ":" in address else (address, receiver.port)
    found = [(family, socket.SOCK_STREAM, 6, "", place)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    outcome = Poster(AddressRules(None), str(authority[0])).post(f"https://rebound.example:{receiver.port}/", b"{}", {})
    assert outcome.error is not None
    assert "not in a public network" in outcome.error
    assert receiver.received == []


def test_what_the_operator_allows_and_what_not(receive: Open, authority: tuple[Path, Path]) -> None:
    plain, secure = receive(secure=False), receive()
    poster = Poster(AddressRules(LOOPBACK), str(authority[0]))
    assert poster.post(plain.url, b"{}", {}).status == 204
    assert poster.post(secure.url, b"{}", {}).status == 204
    distrustful = Poster(AddressRules(LOOPBACK), None).post(secure.url, b"{}", {})
    assert "certificate verify failed" in str(distrustful.error)
    another = Poster(AddressRules("10.0.0.0/8"), str(authority[0])).post(secure.url, b"{}", {})
    assert "not in a public network" in str(another.error)
    for networks, file in (("10.0.0.0/33", None), ("127.0.0.1/8", None), (None, "/nowhere.pem")):
        with pytest.raises(ConfigurationError, match="LUML_WEBHOOK_"):
            Poster(AddressRules(networks), file)


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


def test_transactions_that_end_in_another_order_lose_nothing(
    receive: Open, hook: Any, house: House, courier: Courier, cast: Cast
) -> None:
    receiver = receive()
    hook(receiver, "*")
    here = {"organization_id": cast.here.organization_id, "orbit_id": cast.here.orbit_id, "actor_kind": "user"}
    courier.run_due()
    receiver.received.clear()
    slow = house.database.engine.connect()
    record(slow, "collection.slow", object_id=new_id(), **here)
    with house.database.write() as db:
        record(db, "collection.quick", object_id=new_id(), **here)
    courier.run_due()
    slow.commit()
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
