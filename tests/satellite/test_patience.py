"""How long a satellite waits for a platform that has taken a request and does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from satellite.platform import PlatformAway
from satellite.rest import RestPlatform


class Silent:
    """A platform that answers nothing until it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        silent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                silent.let.wait()
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def silent() -> Iterator[Silent]:
    made = Silent()
    yield made
    made.let.set()
    made.server.shutdown()
    made.server.server_close()


def test_a_plain_call_is_given_up_while_a_long_poll_goes_on(silent: Silent) -> None:
    """A stop waits for the calls that are under way, so that they must not take long."""
    platform = RestPlatform(f"http://127.0.0.1:{silent.server.server_port}", "dfssat_x")
    with ThreadPoolExecutor(2) as pool:
        poll = pool.submit(platform.tasks, "pending", 120.0)
        plain = pool.submit(platform.call, "GET", "deployments", tries=1)
        with pytest.raises(PlatformAway, match="does not answer"):
            plain.result(60)
        assert not poll.done()
        silent.let.set()
        assert poll.result(10) == []
    platform.close()
