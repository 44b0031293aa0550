"""The proxy of the documentation works as it is written there: TLS, sign-in, files, websockets."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from luml_app.web.docs import FOLDER
from luml_app.web.house import House
from tests.cast import PASSWORD, Cast
from tests.serving import RunningServer

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
# What surrounds a `server` block in nginx's own file, and keeps everything in one folder.
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {example}
}}
"""


@pytest.fixture
def port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def server(build_house: Callable[..., House], start_server: Callable[..., RunningServer], port: int) -> RunningServer:
    """A server with pages that is told the proxy's address."""
    return start_server(build_house(public_url=f"https://127.0.0.1:{port}"), role="all")


@pytest.fixture
def proxy(server: RunningServer, port: int, tmp_path: Path) -> Iterator[str]:
    """nginx with the example of the documentation, before the server; the address."""
    if NGINX is None:
        pytest.skip("nginx is not installed here")
    folder = tmp_path / "nginx"
    folder.mkdir()
    _write_certificate(folder)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, example=_example(folder, port, server.port)))
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        _wait_until_open(port, process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def browser(proxy: str) -> Iterator[httpx.Client]:
    """Alice's browser, signed in through the proxy."""
    with httpx.Client(base_url=proxy, verify=False, trust_env=False, timeout=60) as client:
        form = {"email": "alice@example.org", "password": PASSWORD}
        answer = client.post("/login", data=form, headers={"Origin": proxy})
        assert answer.status_code == 302, answer.text
        yield client


def test_cookies_are_for_https_only(browser: httpx.Client) -> None:
    assert {cookie.name for cookie in browser.cookies.jar if cookie.secure} == {"access_token", "refresh_token"}


def test_a_page_of_the_platform_may_write_and_another_site_may_not(browser: httpx.Client, proxy: str) -> None:
    mine = browser.patch("/v1/auth/users/me", json={"full_name": "Alice L."}, headers={"Origin": proxy})
    assert mine.status_code == 200
    theirs = browser.patch("/v1/auth/users/me", json={}, headers={"Origin": "https://elsewhere.example"})
    assert theirs.status_code == 403


def test_a_large_file_goes_through(browser: httpx.Client, proxy: str, cast: Cast) -> None:
    content = bytes(64 * 2**20)
    base = f"/v1/organizations/{cast.here.organization_id}/bucket-secrets/{cast.here.bucket_id}/urls"
    urls = browser.post(base, json={"id": str(cast.here.bucket_id)}, headers={"Origin": proxy}).json()
    assert urls["presigned_url"].startswith(proxy)
    assert browser.put(urls["presigned_url"], content=content).is_success
    part = browser.get(urls["download_url"], headers={"Range": "bytes=0-10"})
    assert (part.status_code, part.content) == (206, content[:11])
    assert browser.delete(urls["delete_url"]).is_success


def test_the_websocket_of_a_page_opens(browser: httpx.Client, proxy: str) -> None:
    page = browser.get("/app", follow_redirects=True)
    token = re.search(r'"token":"([^"]+)"', page.text)
    assert token, page.text[:2000]
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    headers = {"Origin": proxy, "Cookie": cookies, "Sec-WebSocket-Protocol": f"bokeh, {token[1]}"}
    address = f"{proxy.replace('https', 'wss')}{page.url.path.rstrip('/')}/ws"

    async def greeting() -> str | bytes | None:
        request = HTTPRequest(address, headers=headers, validate_cert=False)
        connection = await websocket_connect(request)
        try:
            return await asyncio.wait_for(connection.read_message(), 30)
        finally:
            connection.close()

    # In a thread of its own: where a test before has used Playwright, this one has a running loop already.
    with ThreadPoolExecutor(1) as threads:
        assert "ACK" in str(threads.submit(asyncio.run, greeting()).result())


def _example(folder: Path, port: int, upstream: int) -> str:
    """The nginx example of the documentation with this test's ports and certificate."""
    block = re.search(r"```nginx\n(.*?)```", (FOLDER / "operations.md").read_text(), re.DOTALL)
    assert block
    text = block[1]
    for said, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "http://127.0.0.1:5010": f"http://127.0.0.1:{upstream}",
        "/etc/ssl/luml.": f"{folder}/luml.",
    }.items():
        assert said in text
        text = text.replace(said, here)
    return text


def _write_certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "luml.crt").write_bytes(certificate.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    (folder / "luml.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return
        if process.poll() is not None:
            raise AssertionError((process.communicate()[1] or b"").decode())
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")
