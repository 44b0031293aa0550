"""Sessions of the dashboard: who gets one, what its page gives away, and that it is let go of."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from bokeh.document import Document
from tornado.httpclient import HTTPClientError

from tests.dashboard.sockets import open_session, read_page
from tests.serving import LoopThread, RunningServer


@pytest.fixture
def cookies(login_link: str) -> dict[str, str]:
    """The cookies of Alice's browser."""
    with httpx.Client(trust_env=False) as http:
        http.get(login_link)
        return dict(http.cookies)


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Runs a coroutine on a loop in another thread: the browser tests keep one in this one."""
    thread = LoopThread("sockets")
    yield thread.run
    thread.stop()


def documents() -> int:
    """How many sessions' documents are alive."""
    gc.collect()
    return sum(type(one) is Document for one in gc.get_objects())


def until(true: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize("path", ["/app", "/app/o/018f0000-0000-7000-8000-000000000001/tracks"])
def test_a_stranger_is_sent_to_the_sign_in_page_and_back(server: RunningServer, path: str) -> None:
    with httpx.Client(trust_env=False, follow_redirects=True) as http:
        answer = http.get(server.address + path)
    assert answer.url.path == "/login"
    assert answer.url.params["next"] == path
    assert "Sign in to LUML" in answer.text


def test_the_page_gives_no_credential_away(server: RunningServer, cookies: dict[str, str]) -> None:
    html, payload = read_page(server.address, "/app", cookies)
    assert "access_token" in cookies
    for value in cookies.values():
        assert value not in html and value not in str(payload)


def test_the_page_forbids_evaluation_and_other_hosts(server: RunningServer, cookies: dict[str, str]) -> None:
    with httpx.Client(trust_env=False, cookies=cookies) as http:
        policy = http.get(server.address + "/app").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe-eval" not in policy


@pytest.mark.parametrize("lacks", ["cookie", "origin"])
def test_a_websocket_without_session_or_from_elsewhere_is_refused(
    server: RunningServer, cookies: dict[str, str], run: Callable[..., Any], lacks: str
) -> None:
    html, _ = read_page(server.address, "/app", cookies)
    origin = "http://evil.example" if lacks == "origin" else None
    shown = {} if lacks == "cookie" else cookies
    with pytest.raises(HTTPClientError) as refusal:
        run(open_session(server.address, "/app", html, shown, origin))
    assert refusal.value.code == 403


def test_closed_sessions_are_forgotten(server: RunningServer, cookies: dict[str, str], run: Callable[..., Any]) -> None:
    async def open_and_close(count: int) -> None:
        for _ in range(count):
            html, _ = await asyncio.to_thread(read_page, server.address, "/app", cookies)
            socket = await open_session(server.address, "/app", html, cookies)
            socket.close()

    run(open_and_close(1))  # what is made once, is made now
    assert until(lambda: sessions(server) == 0)
    before = documents()
    run(open_and_close(10))
    assert until(lambda: sessions(server) == 0)
    assert until(lambda: documents() <= before), f"{documents() - before} of 10 documents are still there"


def sessions(server: RunningServer) -> int:
    application: Any = server.server._ui.application
    return sum(len(list(context.sessions)) for context in application._applications.values())


def test_the_server_stops_with_open_sessions(
    server: RunningServer, cookies: dict[str, str], run: Callable[..., Any]
) -> None:
    async def open_and_wait() -> str | None:
        html, _ = await asyncio.to_thread(read_page, server.address, "/app", cookies)
        socket = await open_session(server.address, "/app", html, cookies)
        await asyncio.to_thread(server.stop)
        while (message := await socket.read_message()) is not None:
            assert message
        return "closed"

    assert run(asyncio.wait_for(open_and_wait(), 30)) == "closed"
