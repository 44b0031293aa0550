"""What cannot work is said in one sentence by `luml up`, and leaves nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psycopg
import pytest

from luml_app.core.settings import Settings
from luml_app.embedded.home import HomeError
from luml_app.embedded.up import up
from tests.embedded.conftest import as_somebody_else
from tests.embedded.running_up import Installation, sentence
from tests.postgres import Cluster


def test_a_busy_port(place: Installation) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        done = place.run("up", "--port", str(place.port))
    assert done.returncode == 1
    assert f"Port {place.port}" in sentence(done.stdout + done.stderr)
    assert not place.home.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LUML_PORT", "99999"),
        ("LUML_PORT", "x"),
        ("LUML_RUNTIME", "magic"),
        ("LUML_ADMIN_EMAIL", "nobody"),
        ("LUML_ADMIN_PASSWORD", "short"),
        ("LUML_HOST", "no.such.host.invalid"),
    ],
)
def test_a_wrong_setting(place: Installation, variable: str, value: str) -> None:
    done = place.run("up", **{variable: value})
    assert done.returncode == 1
    said = sentence(done.stdout + done.stderr)
    assert variable in said or value in said
    assert not place.home.exists()


def test_a_config_file_that_cannot_be_read(place: Installation) -> None:
    place.config.write_text("address = ")
    done = place.run("up")
    assert done.returncode == 1
    assert str(place.config) in sentence(done.stdout + done.stderr)
    assert not place.home.exists()


def test_a_read_only_home(read_only: Path) -> None:
    place = Installation(read_only)
    done = place.run("up")
    assert done.returncode == 1
    assert "LUML_HOME" in sentence(done.stdout + done.stderr)


def test_a_home_of_somebody_else(place: Installation) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, who alone can become somebody else")
    place.home.mkdir(mode=0o755)
    place.home.parent.chmod(0o755)
    settings = Settings(home=place.home, config_file=place.config, port=place.port)

    def start() -> None:
        with pytest.raises(HomeError, match="LUML_HOME"):
            up(settings, demo=False, say=print)

    as_somebody_else(start)
    assert list(place.home.iterdir()) == []


def test_a_database_that_is_newer(place: Installation, cluster: Cluster, migrated: str) -> None:
    with cluster.database(migrated) as url:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
        done = place.run("up", LUML_DATABASE_URL=url)
        assert done.returncode == 1
        assert "newer than this LUML" in sentence(done.stdout + done.stderr)
    assert place.processes() == {}


def test_a_database_that_is_not_there(place: Installation) -> None:
    done = place.run("up", LUML_DATABASE_URL=f"postgresql://nobody:hidden@127.0.0.1:{place.port}/nothing")
    assert done.returncode == 1
    said = sentence(done.stdout + done.stderr)
    assert "LUML_DATABASE_URL" in said and "hidden" not in said
