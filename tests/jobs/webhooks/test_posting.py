"""To whom nothing is sent, and how long is waited for an answer."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.jobs import courier as couriers
from luml_app.jobs import posting
from luml_app.jobs.addresses import AddressRules
from luml_app.jobs.courier import Courier
from luml_app.jobs.posting import Poster
from luml_app.schemas.errors import ConfigurationError, Invalid
from luml_app.web.house import House
from tests.cast import Cast
from tests.jobs.receiver import LOOPBACK, Open, answer
from tests.jobs.webhooks.outbox import make_due, outbox
from tests.serving import until


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
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[fec0::1]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
)


@pytest.mark.parametrize(
    "url",
    [*PRIVATE, "http://example.org/", "ftp://example.org/", "https://", "https://a:b@example.org/", "https://x:99999/"],
)
def test_addresses_that_are_refused_at_once(url: str, build_house: Any, cast: Cast) -> None:
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
