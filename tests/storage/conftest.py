"""A real Tornado server with the routes of the store, on a free port, and clients to talk with it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from luml_app.storage.local import LocalStorage
from luml_app.storage.signing import SigningKey, UrlSigner
from luml_app.web.store import Store, store_routes

LIFETIME = 300
BUCKET = "team-bucket"
MAX_OBJECT_SIZE = 96 * 1024 * 1024


@dataclass
class Clock:
    """The real time, until somebody moves it."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class StoreServer:
    """A running store: its folder, its address, its signer and the clock of that signer."""

    root: Path
    clock: Clock = field(default_factory=Clock)
    key: SigningKey = field(default_factory=lambda: SigningKey("k1", secrets.token_bytes(32)))
    settings: dict[str, Any] = field(default_factory=dict)
    base_url: str = ""

    def __post_init__(self) -> None:
        self.signer = UrlSigner([self.key], self.clock)

    def bucket(self, name: str = BUCKET) -> LocalStorage:
        return LocalStorage(self.root, name, self.base_url, self.signer)

    def files(self, part: str = "", bucket: str = BUCKET) -> list[Path]:
        """Every file on disk below the folder `part` of a bucket."""
        return sorted(path for path in (self.root / bucket / part).rglob("*") if path.is_file())


@contextmanager
def running(server: StoreServer) -> Iterator[StoreServer]:
    started = threading.Event()
    stop: list[Callable[[], object]] = []
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server, started, stop)))
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        stop[0]()
        thread.join(10)
        assert not thread.is_alive()


async def _serve(server: StoreServer, started: threading.Event, stop: list[Callable[[], object]]) -> None:
    settings = {"max_object_size": MAX_OBJECT_SIZE, **server.settings}
    store = Store(server.root, server.signer, **settings)
    http = HTTPServer(Application(store_routes(store), xsrf_cookies=True))
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    server.base_url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
    started.set()
    await stopped.wait()
    http.stop()
    await http.close_all_connections()
    store.transfers.shutdown()
    store.assembly.shutdown()


def eventually(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with running(StoreServer(tmp_path_factory.mktemp("store"))) as server:
        yield server


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[StoreServer]:
    """A server that nobody else uses, for tests that count files or move the clock."""
    with running(StoreServer(tmp_path / "store")) as server:
        yield server


@pytest.fixture
def full_after(tmp_path: Path) -> Iterator[Path]:
    """A folder on a real disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        cannot_run("a small disk can be mounted by root on Linux only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def cannot_run(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("LUML_TEST_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def bucket(server: StoreServer) -> LocalStorage:
    return server.bucket()


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"orbit/{secrets.token_hex(8)}/model.luml"
