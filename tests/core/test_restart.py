"""PostgreSQL is killed in the middle and started again: the server says so meanwhile, and recovers by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from luml_app.embedded.postgres import Postgres
from luml_app.web.house import House
from tests.cast import key_of, populate
from tests.serving import RunningServer, until


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, which may be killed."""
    postgres = Postgres(tmp_path / "pg")  # not `fast`, which forgets what was committed just before a crash
    yield postgres
    postgres.stop()


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    url = postgres.start()
    database = Database(url)
    migrate(database)
    database.close()
    populate(url)
    return url


def test_the_pool_recovers(
    postgres: Postgres, house: House, tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(house, role="api")
    headers = {"Authorization": f"Bearer {key_of('alice')}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=60) as http:

        def me() -> Any:
            return http.get("/v1/auth/users/me")

        assert me().status_code == 200
        (file,) = (tmp_path / "pg").rglob("postmaster.pid")
        pid = int(file.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: me().status_code == 503, "the server notices")
        away = me()
        assert (away.status_code, away.json()["code"], away.headers["Retry-After"]) == (503, "unavailable", "2")
        assert http.post("/v1/organizations", json={"name": "X"}).status_code == 503
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200
        assert postgres.start() == house.settings.database_url
        until(lambda: me().status_code == 200, "the server answers again")
        assert [me().status_code for _ in range(10)] == [200] * 10
        assert http.get("/readyz").status_code == 200
        assert http.post("/v1/organizations", json={"name": "X"}).status_code == 200
