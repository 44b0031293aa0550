from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from luml_app.client.http import Client
from luml_app.client.orbits import OrbitHandle
from satellite.daemon import Daemon
from satellite.settings import Settings, inherited_environment
from tests.cast import Person
from tests.client.proxy import Proxy
from tests.serving import RunningServer


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a config file or settings of their own."""
    for name in ("LUML_ADDRESS", "LUML_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("LUML_CONFIG_FILE", str(tmp_path / "config.toml"))


@pytest.fixture
def client(server: RunningServer, alice: Person) -> Iterator[Client]:
    """Alice's client."""
    with Client(server.address, alice.api_key) as client:
        yield client


@pytest.fixture
def orbit(client: Client) -> OrbitHandle:
    """Alice's orbit "Garden"."""
    return client.orbit()


@pytest.fixture
def proxy(server: RunningServer) -> Iterator[Proxy]:
    """A proxy in front of the server that can be told to misbehave; the server believes in its address."""
    proxy = Proxy(server.port)
    server.house.know(replace(server.house.settings, port=proxy.port))
    yield proxy
    proxy.close()


@pytest.fixture
def far_orbit(proxy: Proxy, alice: Person) -> Iterator[OrbitHandle]:
    """Alice's orbit as seen through the proxy, by which all addresses lead."""
    with Client(proxy.address, alice.api_key) as client:
        yield client.orbit()


@pytest.fixture
def customers() -> pd.DataFrame:
    return pd.DataFrame({"age": [20, 30, 40, 50], "city": ["a", "b", "a", None], "left": [True, False, True, False]})


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset file whose data has `size` random bytes."""

    def make(size: int = 1000, name: str = "data.tar", data: bytes | None = None) -> Path:
        manifest = {
            "artifact_type": "dataset", "variant": "tabular", "name": name.partition(".")[0], "producer_name": "test",
            "producer_version": "1", "producer_tags": [], "payload": {"subsets": {}, "total_rows": 0},
        }  # fmt: skip
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for member, content in (
                ("manifest.json", json.dumps(manifest).encode()),
                ("data/x", os.urandom(size) if data is None else data),
            ):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def start_satellite(client: Client, orbit: OrbitHandle, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts real satellites of the orbit in this process, with the process runtime."""
    daemons: list[Daemon] = []

    def start(name: str = "local", **changes: Any) -> Daemon:
        key = client.satellites.create(*orbit.ids, name=name).api_key
        values: dict[str, Any] = {
            "platform_url": client.address, "token": key, "data": tmp_path / name, "runtime": "process",
            "reconcile_seconds": 0.5, "poll_seconds": 2.0, "inherited": inherited_environment(),
        }  # fmt: skip
        daemons.append(Daemon(Settings(**(values | changes))))
        daemons[-1].start()
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.stop()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
