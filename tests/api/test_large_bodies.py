"""Bodies of 100 MB at a real server process, several at once: refused, and the memory stays where it is."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from luml_app.web import bodies
from tests.benchmarks.measuring import Platform
from tests.cast import key_of
from tests.serving import RunningServer, until

MEGABYTE = b" " * 2**20
LIMIT = 8 * 2**20


@pytest.fixture
def platform(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("LUML_MAX_BODY_BYTES", str(LIMIT))
    platform = Platform(database_url, tmp_path / "home")
    yield platform
    platform.close()


class Peak(threading.Thread):
    """Looks at the memory of a process all the time."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self._ended = process, threading.Event()
        self.before = self.most = process.memory_info().rss

    def run(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    @property
    def growth(self) -> float:
        """In bytes."""
        return self.most - self.before


def send(platform: Platform, megabytes: int, *, announced: bool, key: str | None = None) -> int | None:
    """Send a body to the end, or until the server hangs up; the status, if it could be read."""
    host, port = platform.address.removeprefix("http://").split(":")
    size = f"Content-Length: {megabytes * 2**20}" if announced else "Transfer-Encoding: chunked"
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"PATCH /v1/auth/users/me HTTP/1.1\r\nHost: {host}\r\n{bearer}{size}\r\n\r\n"
    piece = MEGABYTE if announced else b"100000\r\n" + MEGABYTE + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        try:
            connection.sendall(head.encode())
            for _ in range(megabytes):
                connection.sendall(piece)
            connection.sendall(b"" if announced else b"0\r\n\r\n")
            answer = connection.recv(4096)
        except OSError:
            return None  # it closed while we were still sending: it did not read on
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(found[1]) if found else None


@pytest.mark.parametrize("announced", [True, False])
def test_eight_at_once_of_100_mb(platform: Platform, announced: bool) -> None:
    assert platform.http.get("/v1/auth/users/me").status_code == 200
    with Peak(platform.process) as peak, ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(lambda _: send(platform, 100, announced=announced), range(8)))
    assert answers <= {413, 503, None}, answers
    # Four bodies of the allowed size, once in pieces and at most once as a whole, and what the sockets hold.
    assert peak.growth < 10 * LIMIT, f"{peak.growth / 2**20:.0f} MB more"
    assert platform.http.get("/v1/auth/users/me").status_code == 200


def test_what_was_taken_is_given_back(platform: Platform) -> None:
    for _ in range(12):
        assert send(platform, 7, announced=True, key=key_of("alice")) == 422
    host, port = platform.address.removeprefix("http://").split(":")
    for _ in range(12):  # they leave in the middle
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"PATCH /v1/auth/users/me HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n")
            connection.sendall(MEGABYTE * 7)
    assert send(platform, 7, announced=True, key=key_of("alice")) == 422


def test_large_bodies_that_do_not_end_keep_nobody_out(platform: Platform) -> None:
    """Strangers fill all the room there is, and wait."""
    host, port = platform.address.removeprefix("http://").split(":")
    head = f"PATCH /v1/auth/users/me HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LIMIT}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(6):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            with suppress(OSError):  # refused, for want of room
                connection.sendall(head + b" " * (LIMIT - 1))
        until(lambda: send(platform, 7, announced=True, key=key_of("alice")) in {503, None}, "the room is full")
        answer = platform.http.patch("/v1/auth/users/me", json={"full_name": "Alice"})
        assert answer.status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    with socket.create_connection((server.house.settings.host, server.port), timeout=60) as connection:
        connection.sendall(b"PATCH /v1/auth/users/me HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(100) == b""
