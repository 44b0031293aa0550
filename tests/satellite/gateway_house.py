"""A gateway as a process of its own, in front of model servers whose behaviour the test decides."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import tornado.httpserver
import tornado.netutil
import tornado.web

from satellite.daemon import gateway_settings
from satellite.gateway.routes import Backend, Route, RouteWriter
from satellite.gateway.supervisor import GatewaySupervisor
from satellite.settings import Settings, inherited_environment
from tests.satellite.contract_server import API_KEY, ContractServer

KEY = {"Authorization": f"Bearer {API_KEY}"}
DIGEST = "d" * 64


class Upstream:
    """Stands where a model server would: answers what it is told to, or waits until it is let go."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, dict[str, str]]] = []
        self.connections: set[Any] = set()
        self.status = 200
        self.hold = False
        self.hang_up = False
        self.break_off = False
        self.answer = b'{"y":[1]}'
        self.started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.thread.start()
        assert self.started.wait(10)

    async def serve(self) -> None:
        self.loop, self.let_go, self.stopped = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        upstream = self

        class Compute(tornado.web.RequestHandler):
            async def post(self) -> None:
                upstream.seen.append((self.request.body, dict(self.request.headers)))
                upstream.connections.add(self.request.connection.context.address)
                if upstream.hang_up:
                    self.request.connection.stream.close()
                    return
                if upstream.hold:
                    await upstream.let_go.wait()
                self.set_status(upstream.status)
                self.set_header("Content-Type", "application/json")
                if upstream.break_off:
                    self.set_header("Content-Length", len(upstream.answer) + 1)
                    self.write(upstream.answer)
                    await self.flush()
                    self.request.connection.stream.close()
                    return
                self.finish(upstream.answer)

        class Health(tornado.web.RequestHandler):
            def get(self) -> None:
                self.set_status(200 if upstream.status == 200 else 503)

        app = tornado.web.Application([("/compute", Compute), ("/healthz", Health)], log_function=lambda _: None)
        server = tornado.httpserver.HTTPServer(app)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        server.add_sockets(sockets)
        self.started.set()
        await self.stopped.wait()
        server.stop()
        await server.close_all_connections()

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self.let_go.set)

    def stop(self) -> None:
        self.release()
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(10)


class House:
    """A gateway, its route table and what stands behind it."""

    def __init__(self, gateway: GatewaySupervisor, upstream: Upstream) -> None:
        self.gateway, self.upstream = gateway, upstream
        self.routes = RouteWriter(gateway.settings.routes)
        self.http = httpx.Client(base_url=gateway.url, timeout=20)

    def route(self, name: str, route: Route | None) -> None:
        self.gateway.wait_for_routes(self.routes.set(name, route), (), 10)

    def compute(self, name: str = "d1", headers: dict[str, str] = KEY, content: bytes = b"{}") -> httpx.Response:
        return self.http.post(f"/deployments/{name}/compute", content=content, headers=headers)


def served_at(*urls: str) -> tuple[Backend, ...]:
    return tuple(Backend(url, "r1", DIGEST) for url in urls)


@contextmanager
def nobody_at() -> Iterator[str]:
    """An address that is taken, and where nobody answers."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


@pytest.fixture
def more_upstreams() -> Iterator[Callable[[], Upstream]]:
    made: list[Upstream] = []

    def build() -> Upstream:
        made.append(Upstream())
        return made[-1]

    yield build
    for one in made:
        one.stop()


@pytest.fixture
def upstream(more_upstreams: Callable[[], Upstream]) -> Upstream:
    return more_upstreams()


@pytest.fixture
def house(
    our_platform: ContractServer, settings: Callable[..., Settings], upstream: Upstream
) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def open_house(**changes: Any) -> House:
        chosen = settings(our_platform, **changes)
        chosen.data.mkdir(parents=True, exist_ok=True)
        gateway = GatewaySupervisor(gateway_settings(chosen), inherited_environment())
        gateway.start()
        made.append(House(gateway, upstream))
        made[-1].route("d1", Route("ready", served_at(upstream.url), f"{gateway.url}/deployments/d1/compute"))
        return made[-1]

    yield open_house
    for one in made:
        one.http.close()
        one.gateway.stop()
