"""What a client says when the other end, or the way there, is not as it should be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luml_app.client.http import AsyncClient, Client
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging import read_artifact
from luml_app.schemas.errors import (
    Invalid,
    LumlError,
    NotFound,
    ServerFault,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from tests.cast import Person
from tests.client.proxy import Fault, Proxy
from tests.serving import RunningServer, in_a_loop


def http_answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


BUSY = http_answer("503 Busy", b'{"detail": "Later."}', "Retry-After: 0", "Content-Type: application/json")
PAGE = http_answer("200 OK", b"<html>Welcome to the hotel's network</html>", "Content-Type: text/html")


@pytest.fixture
def far(proxy: Proxy, alice: Person) -> Iterator[Client]:
    with Client(proxy.address, alice.api_key) as client:
        yield client


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", "k") as client, pytest.raises(Unavailable, match="Nothing answers at") as e:
        client.auth.me()
    assert str(port) in e.value.message


def test_a_wrong_key_and_none(server: RunningServer) -> None:
    with Client(server.address, "dfs_wrong") as client, pytest.raises(Unauthenticated):
        client.auth.me()
    with Client(server.address) as client, pytest.raises(Unauthenticated, match="luml login"):
        client.auth.me()
    with Client(server.address, api_key="") as client, pytest.raises(LumlError) as wrong:
        client.auth.signin(email="alice@example.org", password="not hers")
    assert "luml login" not in wrong.value.message


def test_a_busy_server_is_asked_again(far: Client, proxy: Proxy) -> None:
    proxy.plan(*[Fault("users/me", answer=BUSY)] * 3)
    assert far.auth.me().email == "alice@example.org"
    assert len(proxy.requests) == 4


def test_a_write_is_repeated_only_when_it_was_refused(far: Client, proxy: Proxy) -> None:
    proxy.plan(Fault("POST", answer=BUSY))
    assert far.organizations.create(name="Second").name == "Second"
    proxy.plan(Fault("POST", after=0))  # the server has it, but its answer is lost
    with pytest.raises(Unavailable):
        far.organizations.create(name="Third")
    assert sorted(one.name for one in far.organizations.list()) == ["Second", "Third", "Wonderland"]


def test_a_read_is_repeated_over_a_broken_line(far: Client, proxy: Proxy) -> None:
    proxy.plan(Fault("GET", after=0), Fault("GET", after=30))
    assert far.auth.me().email == "alice@example.org"


def test_a_busy_server_that_stays_busy(far: Client, proxy: Proxy) -> None:
    proxy.plan(*[Fault("GET", answer=BUSY)] * 9)
    with pytest.raises(Unavailable, match=r"Later\."):
        far.auth.me()
    assert len(proxy.requests) == 4


def test_who_asks_for_an_hour_is_not_asked_before(far: Client, proxy: Proxy) -> None:
    proxy.plan(Fault("GET", answer=http_answer("429 Slow", b'{"detail": "Slow down."}', "Retry-After: 3600")))
    with pytest.raises(TooManyRequests) as slow:
        far.auth.me()
    assert slow.value.retry_after == 3600
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops"])
def test_a_page_instead_of_json(far: Client, proxy: Proxy, status: str) -> None:
    proxy.plan(Fault("GET", answer=PAGE.replace(b"200 OK", status.encode())))
    with pytest.raises(LumlError, match="text/html") as error:
        far.auth.me()
    assert "<html>" not in error.value.message
    assert "auth.me" in error.value.message


def test_a_redirect_says_where_to(far: Client, proxy: Proxy) -> None:
    proxy.plan(Fault("GET", answer=http_answer("301 Moved", b"", "Location: https://luml.example.org/")))
    with pytest.raises(ServerFault, match=r"https://luml\.example\.org/"):
        far.auth.me()


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"detail": [{"x": 1}]}', b'{"detail": [1]}', b"", b"\xff"])
def test_errors_of_odd_shapes(far: Client, proxy: Proxy, body: bytes) -> None:
    proxy.plan(Fault("GET", answer=http_answer("422 No", body)))
    with pytest.raises(Invalid):
        far.auth.me()


def test_fields_are_named(client: Client) -> None:
    with pytest.raises(Invalid, match=r"organizations\.create: .*name") as error:
        client.organizations.create(name="")
    assert error.value.problems[0].loc[-1] == "name"


def test_numbers_of_numpy_can_be_sent_and_nonsense_is_named(
    client: Client, orbit: OrbitHandle, make_file: Callable[..., Path]
) -> None:
    made: Any = client.artifacts.create(
        *orbit.ids, orbit.collection("c").id, file_name="x.tar", file_hash="0" * 64, size=np.int64(9),
        manifest=read_artifact(make_file()).manifest, file_index={"m": (np.int32(0), 1)},
        extra_values={"auc": np.float64(0.5), "f1": np.float32(0.25)},
    )  # fmt: skip
    assert made.artifact.extra_values == {"auc": 0.5, "f1": 0.25}
    with pytest.raises(Invalid, match="JSON"):
        client.organizations.create(name=object())  # type: ignore[arg-type]


def test_an_unknown_id(client: Client, orbit: OrbitHandle) -> None:
    with pytest.raises(NotFound):
        client.orbits.get(orbit.organization_id, orbit.organization_id)


def test_one_client_in_twenty_threads(client: Client, orbit: OrbitHandle) -> None:
    with ThreadPoolExecutor(20) as threads:
        names = list(threads.map(lambda n: orbit.collection(f"c{n % 20}").name, range(60)))
    assert sorted(set(names)) == sorted(f"c{n}" for n in range(20))


def test_a_track_made_by_many_at_once_is_one(orbit: OrbitHandle) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: orbit.track("same").data.id, range(8)))
    assert len(set(found)) == 1


def test_the_asynchronous_client(server: RunningServer, alice: Person) -> None:
    async def use() -> str:
        async with AsyncClient(server.address, alice.api_key) as client:
            people = await asyncio.gather(*(client.auth.me() for _ in range(20)))
        with pytest.raises(RuntimeError):
            await client.auth.me()
        return people[0].email

    assert in_a_loop(use()) == "alice@example.org"


def test_proxies_of_the_environment_do_not_come_between_us_and_this_machine(
    server: RunningServer, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Client(server.address, alice.api_key) as client:
        assert client.auth.me().email == "alice@example.org"
        assert client.direct.get(f"{server.address}/healthz").is_success
    with Client("http://luml.invalid", "k") as client, pytest.raises(Unavailable):
        client.auth.me()
