"""The tests' own server: templates are built once, databases are cloned from them and dropped again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.embedded.conftest import REPOSITORY, alive, eventually
from tests.postgres import EXTERNAL, Cluster


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def build_one_table(url: str) -> None:
    with connect(url) as connection:
        connection.execute("CREATE TABLE things (name text)")
        connection.execute("INSERT INTO things VALUES ('from the template')")


@pytest.fixture(scope="module")
def template(cluster: Cluster) -> str:
    return cluster.template("one table", build_one_table)


def test_a_database_is_a_copy_of_its_template(cluster: Cluster, template: str) -> None:
    with cluster.database(template) as url, connect(url) as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("from the template",)]


def test_two_databases_do_not_see_each_other(cluster: Cluster, template: str) -> None:
    with cluster.database(template) as one, cluster.database(template) as other:
        with connect(one) as connection:
            connection.execute("DELETE FROM things")
        with connect(other) as connection:
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_database_is_dropped_although_somebody_is_connected(cluster: Cluster, template: str) -> None:
    with cluster.database(template) as url:
        forgotten = connect(url)
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(url)


def test_a_template_is_built_once_however_many_ask_for_it(cluster: Cluster) -> None:
    built: list[str] = []

    def ask(_: int) -> str:
        worker = Cluster(cluster.url, cluster.run)
        try:
            return worker.template("asked by many", built.append)
        finally:
            worker.close()

    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(ask, range(8)))
    assert len(names) == len(built) == 1


def test_a_template_whose_building_failed_is_built_again(cluster: Cluster) -> None:
    def fail(url: str) -> None:
        build_one_table(url)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        cluster.template("fails once", fail)
    template = cluster.template("fails once", build_one_table)
    with cluster.database(template) as url, connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_builder_that_stays_connected_is_cut_off(cluster: Cluster) -> None:
    left_open = []
    template = cluster.template("left open", lambda url: left_open.append(connect(url)))
    with cluster.database(template) as url:
        assert url


WAITING_TEST = """
import pathlib, signal

def test_wait(cluster):
    with cluster.database():
        pathlib.Path("address").write_text(cluster.url)
        signal.pause()
"""


@pytest.mark.skipif(EXTERNAL in os.environ, reason=f"{EXTERNAL} names a server that is not ours to stop")
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_the_run_however_that_ends(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    if number != signal.SIGINT and sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent; elsewhere the next run does")
    (tmp_path / "test_waiting.py").write_text(WAITING_TEST)
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "tests.postgres", "-n", workers, "--rootdir", str(tmp_path), "."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.defpath},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = tmp_path / "address"
    eventually(lambda: address.exists() and address.read_text(), "the start of the inner run")
    data = Path(str(make_url(address.read_text()).query["host"]))
    server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    run.send_signal(number)
    run.wait(30)
    eventually(lambda: not alive(server.pid), "the end of the server")
    if number == signal.SIGINT:
        assert not data.exists()
