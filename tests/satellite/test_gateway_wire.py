"""The gateway's HTTP as a hostile or an unlucky caller meets it: bytes on a socket."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.satellite.contract_server import API_KEY, until
from tests.satellite.gateway_house import House, Upstream, house, more_upstreams, upstream

__all__ = ["house", "more_upstreams", "upstream"]
POST = f"POST /deployments/d1/compute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\n".encode()


def call(here: House, *parts: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", here.gateway.port), timeout=20)
    for part in parts:
        connection.sendall(part)
    return connection


def answer(connection: socket.socket) -> bytes:
    """All that comes until the gateway hangs up."""
    told = b""
    while part := connection.recv(65536):
        told += part
    connection.close()
    return told


def statuses(told: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", told)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 1e3\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (POST + b"X-Nul: a\0b\r\n\r\n", 400),
        (POST + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n", 431),
        (POST + b"X-Long: " + b"a" * 200_000, 431),
        (b"GET /" + b"a" * 200_000, 431),
    ],
)
def test_what_is_not_http_is_refused_and_ends_the_connection(
    house: Callable[..., House], upstream: Upstream, sent: bytes, status: int
) -> None:
    here = house()
    told = answer(call(here, sent))
    assert statuses(told) == [status]
    assert b'"detail"' in told
    assert b"x-request-id: " in told
    assert upstream.seen == []
    assert here.compute().status_code == 200


def test_requests_sent_ahead_are_answered_in_order(house: Callable[..., House], upstream: Upstream) -> None:
    one = POST + b"X-Request-Id: %d\r\nContent-Length: 2\r\n\r\n{}"
    last = POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    told = answer(call(house(), b"".join(one % number for number in range(5)) + last))
    assert statuses(told) == [200] * 6
    ids = [line.partition(b": ")[2] for line in told.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids[:5] == [b"0", b"1", b"2", b"3", b"4"]


def test_garbage_after_a_request_does_not_take_its_answer(house: Callable[..., House], upstream: Upstream) -> None:
    told = answer(call(house(), POST + b"Content-Length: 2\r\n\r\n{}" + b"\0\1garbage\r\n\r\n"))
    assert statuses(told)[0] == 200


def test_whoever_asks_first_is_told_before_the_body(house: Callable[..., House]) -> None:
    here = house(body_limit=1000)
    expecting = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    assert statuses(answer(call(here, POST + expecting % 2000))) == [413]
    with call(here, POST + b"Connection: close\r\n" + expecting % 2) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"{}")
        assert statuses(answer(connection)) == [200]


def test_a_caller_who_hangs_up_frees_the_place(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(concurrency=1, queue_limit=0)
    upstream.hold = True
    connection = call(here, POST + b"Content-Length: 2\r\n\r\n{}")
    until(lambda: upstream.seen)
    assert here.compute().status_code == 429
    connection.close()
    upstream.hold = False
    until(lambda: here.compute().status_code == 200)


def test_a_large_body_arrives_whole_and_again_at_another_model_server(
    house: Callable[..., House], more_upstreams: Callable[[], Upstream]
) -> None:
    from tests.satellite.gateway_house import Route, served_at

    here, dying, well = house(), more_upstreams(), more_upstreams()
    dying.hang_up = True
    here.route("d2", Route("ready", served_at(dying.url, well.url)))
    body = bytes(range(256)) * 80_000
    for _ in range(3):
        assert here.compute("d2", content=body).status_code == 200
    assert dying.seen
    assert all(seen == body for seen, _ in well.seen)
    assert not list(here.gateway.settings.routes.parent.glob("tmp*")), "nothing of it has a name on the disk"


def test_bodies_share_a_bounded_room(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(held_limit=3_000_000)
    upstream.hold = True
    with ThreadPoolExecutor(2) as pool:
        large = [pool.submit(here.compute, content=b"x" * 1_200_000) for _ in range(2)]
        until(lambda: len(upstream.seen) == 2)
        refused = here.compute(content=b"x" * 1_200_000)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        upstream.release()
        assert [one.result().status_code for one in large] == [200, 200]
    upstream.hold = False
    assert here.compute(content=b"x" * 1_200_000).status_code == 200


def test_slow_callers_are_not_waited_for(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(slow_seconds=0.5)
    silent = call(here)
    dripping = call(here, POST + b"X-Drip: ")
    stalled = call(here, POST + b"Content-Length: 1000\r\n\r\n{")
    assert answer(silent) == b""
    assert answer(dripping) == b""
    assert statuses(answer(stalled)) == [408]
    upstream.hold = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.compute)
        until(lambda: upstream.seen)
        with pytest.raises(TimeoutError):
            waiting.result(2)
        upstream.release()
        assert waiting.result().status_code == 200, "a slow model is not a slow caller"


def test_what_is_endless_around_a_body_is_not_read_for_ever(house: Callable[..., House]) -> None:
    here = house()
    trailers = POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Trailer: 1\r\n" * 100_000
    extensions = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 2_000_000
    for endless in (trailers, extensions):
        assert statuses(answer(call(here, endless))) == [400]


def test_an_answer_is_passed_on_as_the_caller_takes_it(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    upstream.answer = b"x" * 50_000_000
    connection = call(here, POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    until(lambda: upstream.seen)
    assert here.gateway.process
    until(lambda: connection.recv(1, socket.MSG_PEEK))
    assert here.gateway.process.memory_info().rss < 150_000_000
    told = answer(connection)
    assert told.endswith(b"\r\n\r\n" + upstream.answer)


def test_an_answer_that_breaks_off_is_not_taken_for_all_of_it(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    upstream.answer, upstream.break_off = b"x" * 5_000_000, True
    with pytest.raises(httpx.RemoteProtocolError):
        here.compute()
