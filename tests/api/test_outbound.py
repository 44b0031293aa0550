"""Where the pages, which run in the server's process, may connect to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from luml_app.core.settings import Settings
from luml_app.web.outbound import open_http


class Secret(BaseHTTPRequestHandler):
    """What nobody of the outside should read."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def inside() -> Iterator[int]:
    """The port of a service on this machine."""
    with HTTPServer(("127.0.0.1", 0), Secret) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", ["satellite", "bucket"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_for_whom_the_operator_lets(place: str, host: str, inside: int) -> None:
    url = f"http://{host}:{inside}/"
    with open_http(Settings(port=1), place) as http:  # type: ignore[arg-type]
        assert http.get(f"http://127.0.0.1:{inside}/").text == "secret"
    refusing = Settings(port=1, private_satellites="refuse", private_buckets="refuse")
    with open_http(refusing, place) as http, pytest.raises(httpx.ConnectError, match=f"LUML_PRIVATE_{place.upper()}"):  # type: ignore[arg-type]
        http.get(url)


def test_this_servers_own_address_is_always_open(inside: int) -> None:
    with open_http(Settings(port=inside, private_buckets="refuse"), "bucket") as http:
        assert http.get(f"http://127.0.0.1:{inside}/").text == "secret"


def test_a_name_that_nobody_knows_is_said(inside: int) -> None:
    with (
        open_http(Settings(private_buckets="refuse"), "bucket") as http,
        pytest.raises(httpx.ConnectError, match="known"),
    ):
        http.get("http://nobody.invalid/")
