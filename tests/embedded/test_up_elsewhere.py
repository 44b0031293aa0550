"""`luml up` with a database, a config file or an address of one's own, and without a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from luml_app.client.settings import save_connection
from tests.embedded.running_up import Installation
from tests.postgres import Cluster


def test_a_database_of_ones_own(place: Installation, cluster: Cluster) -> None:
    with cluster.database() as url:
        chosen = {"LUML_ADMIN_EMAIL": "Alice@example.org", "LUML_ADMIN_PASSWORD": "chosen by alice"}
        running = place.up(LUML_DATABASE_URL=url, **chosen).stands()
        assert running.said("Account") == "alice@example.org"
        assert not (place.home / "postgres").exists()
        answer = httpx.post(
            f"http://127.0.0.1:{place.port}/v1/auth/signin",
            json={"email": "alice@example.org", "password": "chosen by alice"},
        )
        assert answer.status_code == 200, answer.text
        for pid in place.processes():
            told = Path(f"/proc/{pid}/environ")
            assert not told.exists() or "chosen by alice" not in told.read_text()
        assert running.stop() == 0
    assert place.processes() == {}


def test_the_config_file_of_another_server_is_kept(place: Installation) -> None:
    save_connection("https://luml.example.org", "dfs_of_the_other_server", place.config)
    before = place.config.read_text()
    first = place.up().stands()
    assert place.config.read_text() == before
    own = place.home / "config.toml"
    assert f"LUML_CONFIG_FILE={own}" in first.printed
    assert "admin@localhost" in place.run("whoami", LUML_CONFIG_FILE=str(own)).stdout
    assert first.stop() == 0
    second = place.up().stands()
    assert second.said("API key") == first.said("API key")
    assert second.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::1"])
def test_other_addresses_to_listen_on(place: Installation, host: str) -> None:
    if ":" in host:
        try:
            socket.create_server((host, 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"IPv6 does not apply to this machine: {error}")
    running = place.up("--host", host).stands()
    assert httpx.get(running.said("Dashboard")).status_code == 302
    assert "admin@localhost" in place.run("whoami").stdout
    assert running.stop() == 0


def test_works_with_the_network_cable_out(place: Installation) -> None:
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if os.geteuid() != 0 or unshare is None or ip is None:
        pytest.skip("needs root, unshare and ip to pull the cable")
    if subprocess.run([unshare, "-n", ip, "link", "set", "lo", "up"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow network namespaces")
    inside = [unshare, "-n", "sh", "-c", f'{ip} link set lo up && exec "$@"', "sh"]
    running = place.up("--demo", before=inside).stands("Call it yourself")
    assert running.stop() == 0
    assert place.processes() == {}
