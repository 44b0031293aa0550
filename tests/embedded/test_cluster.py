"""The tests' own server: templates are built once, databases are cloned from them and dropped again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.postgres import Cluster


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
