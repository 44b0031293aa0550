"""Calls of endpoints that behave badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from luml_app.client.inference import compute
from luml_app.schemas.errors import Unavailable

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{"y":[1]}'


@contextmanager
def cutting(times: int) -> Iterator[tuple[str, list[bytes]]]:
    """An endpoint that hangs up over the first so many requests; its address, and what it has been asked."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65536))
                    if len(seen) > times:
                        connection.sendall(ANSWER)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/compute", seen
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_request_that_is_cut_off_is_sent_once_more() -> None:
    with cutting(1) as (url, seen), httpx.Client(trust_env=False) as http:
        assert compute(http, url, None, {"inputs": {"x": [1]}}) == {"y": [1]}
    assert len(seen) == 2
    with cutting(2) as (url, seen), httpx.Client(trust_env=False) as http, pytest.raises(Unavailable, match="twice"):
        compute(http, url, None, {"inputs": {"x": [1]}})
    assert len(seen) == 2
