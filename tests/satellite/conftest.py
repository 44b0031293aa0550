from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from satellite.daemon import Daemon
from satellite.settings import Settings, build_environment, inherited_environment
from tests.satellite.contract_server import TOKEN, ContractServer
from tests.satellite.models import write_model
from tests.satellite.served import Serve, ServedModel
from tests.satellite.swarm import Swarm, swarm_with_image


@pytest.fixture(params=[True, False], ids=["ours", "plain-contract"])
def platform(request: pytest.FixtureRequest) -> Iterator[ContractServer]:
    """The platform, once with leases, generations and long poll, once with nothing but the contract."""
    server = ContractServer(extras=request.param).start()
    yield server
    server.stop()


@pytest.fixture
def our_platform() -> Iterator[ContractServer]:
    server = ContractServer().start()
    yield server
    server.stop()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that doubles its input `x`."""
    return write_model(tmp_path / "double.luml")


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    """Two engines in a swarm, with the model image on both."""
    with swarm_with_image() as swarm:
        yield swarm


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a quick satellite in a folder of the test."""

    def make(server: ContractServer, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "platform_url": server.url, "token": TOKEN, "data": tmp_path / "satellite", "runtime": "process",
            "reconcile_seconds": 0.3, "poll_seconds": 2.0, "lease_seconds": 2.0, "drain_seconds": 5.0,
            "inherited": inherited_environment(), "build": build_environment(),
        }  # fmt: skip
        return Settings(**(values | changes))

    return make


@pytest.fixture
def start_daemon(settings: Callable[..., Settings]) -> Iterator[Callable[..., Daemon]]:
    """Starts satellites in this process and stops them at the end."""
    daemons: list[Daemon] = []

    def start(server: ContractServer, **changes: Any) -> Daemon:
        daemon = Daemon(settings(server, **changes))
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a model made of the given parts; the client's base is its address."""
    started: list[ServedModel] = []

    def start(*arguments: str, **options: Any) -> httpx.Client:
        folder = tmp_path / f"served{len(started)}"
        folder.mkdir()
        started.append(ServedModel(folder, *arguments, **options))
        return started[-1].client

    yield start
    for served in started:
        assert served.stop() == 0
