"""The embedded PostgreSQL: wherever its folder is, whoever starts it, and however it was killed."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from luml_app.embedded.postgres import Postgres, PostgresError, running_url, socket_fits
from tests.embedded.conftest import OTHER_UID, as_somebody_else, eventually


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def ask(url: str, question: str) -> object:
    with connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row
    return row[0]


@pytest.fixture
def start() -> Iterator[Callable[[Postgres], str]]:
    started: list[Postgres] = []

    def start(postgres: Postgres) -> str:
        started.append(postgres)
        return postgres.start()

    yield start
    for postgres in started:
        postgres.stop()


Start = Callable[[Postgres], str]


def test_it_is_version_18_and_sorts_the_same_everywhere(short_path: Path, start: Start) -> None:
    url = start(Postgres(short_path / "pg"))
    assert str(ask(url, "SHOW server_version")).startswith("18.")
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SELECT lower('ÄÖ')") == "äö"
    assert ask(url, "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'B', 'a', 'é']) x") == "Babé"


@pytest.mark.parametrize("folder", ["pg", "x" * 120], ids=["by socket", "by tcp"])
def test_others_find_it_while_it_runs(short_path: Path, start: Start, folder: str) -> None:
    postgres = Postgres(short_path / folder)
    assert running_url(postgres.data) is None
    start(postgres)
    found = running_url(postgres.data)
    assert found == postgres.url
    assert ask(found, "SELECT 42") == 42
    postgres.stop()
    assert running_url(postgres.data) is None


def test_what_was_written_is_there_after_a_stop(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / "pg")
    start(postgres)
    with connect(postgres.url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS x")
    still_open = connect(postgres.url)
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        still_open.execute("SELECT 1")
    assert postgres.pid is None
    assert ask(start(postgres), "SELECT x FROM t") == 42


@pytest.mark.parametrize("name", ["with space", "ünïcödé-数据", "quo'te\"s", "per%cent&and=?#", "com,ma", "x" * 150])
def test_any_path_will_do(short_path: Path, start: Start, name: str) -> None:
    postgres = Postgres(short_path / name / "pg", fast=True)
    assert ask(start(postgres), "SELECT 1") == 1
    assert ask(start(postgres), "SHOW data_directory") == str(postgres.data)


def test_a_folder_too_long_for_a_socket_asks_for_a_password(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / ("x" * 120) / "pg", fast=True)
    assert not socket_fits(postgres.data)
    url = start(postgres)
    assert "@127.0.0.1:" in url
    user, _, rest = url.partition("luml:")
    password, _, place = rest.partition("@")
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(f"{user}luml@{place}")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(f"{user}luml:{password}x@{place}")
    assert ask(url, "SELECT 1") == 1


def test_nobody_else_may_enter(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / "pg", fast=True)
    url = start(postgres)
    assert stat.S_IMODE(postgres.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((postgres.data / "password").stat().st_mode) == 0o600
    assert ask(url, "SHOW listen_addresses") == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_another_user_of_the_machine_cannot_connect(short_path: Path, start: Start) -> None:
    short_path.chmod(0o755)
    url = start(Postgres(short_path / "pg", fast=True))

    def try_to_connect() -> None:
        with pytest.raises(psycopg.OperationalError, match="Permission denied"):
            connect(url)

    as_somebody_else(try_to_connect)


@pytest.mark.skipif(os.geteuid() != 0, reason="is the other tests' case when they are not run as root")
def test_a_normal_user_can_start_it(short_path: Path) -> None:
    os.chown(short_path, OTHER_UID, OTHER_UID)
    postgres = Postgres(short_path / "pg", fast=True)

    def use_it() -> None:
        try:
            assert ask(postgres.start(), "SELECT 1") == 1
            assert psutil.Process(postgres.pid).uids().real == OTHER_UID
        finally:
            postgres.stop()

    as_somebody_else(use_it)
    assert postgres.data.stat().st_uid == OTHER_UID


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_folder_of_another_user_is_one_sentence(short_path: Path, start: Start) -> None:
    short_path.chmod(0o777)
    postgres = Postgres(short_path / "pg", fast=True)
    start(postgres)
    postgres.stop()

    def try_to_start() -> None:
        with pytest.raises(PostgresError, match="belongs to another user"):
            postgres.start()

    as_somebody_else(try_to_start)


def test_after_kill_9_of_the_postmaster_committed_rows_are_there(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / "pg")
    url = start(postgres)
    with connect(url) as connection:
        connection.execute("CREATE TABLE t (x int)")
        connection.execute("INSERT INTO t SELECT generate_series(1, 1000)")
    busy = connect(url)
    assert postgres.pid
    family = psutil.Process(postgres.pid).children(recursive=True)
    # Stopped, they cannot notice their parent's death: the worst left-overs there are.
    for process in family:
        with suppress(psutil.NoSuchProcess):  # workers come and go
            process.suspend()
    os.kill(postgres.pid, signal.SIGKILL)
    eventually(lambda: psutil.Process(postgres.pid).status() == psutil.STATUS_ZOMBIE, "the death of the postmaster")
    assert (postgres.data / "postmaster.pid").exists()

    successor = Postgres(short_path / "pg")
    assert ask(start(successor), "SELECT count(*) FROM t") == 1000
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
    busy.close()


def test_a_server_that_is_still_running_is_replaced(short_path: Path, start: Start) -> None:
    first = Postgres(short_path / "pg", fast=True)
    start(first)
    second = Postgres(short_path / "pg", fast=True)
    assert ask(start(second), "SELECT 1") == 1
    assert first.pid != second.pid


def test_a_claim_in_the_name_of_a_stranger_does_not_matter(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / "pg", fast=True)
    start(postgres)
    claim = (postgres.data / "postmaster.pid").read_text()
    socket_claim = (postgres.data / ".s.PGSQL.5432.lock").read_text()
    pid = str(postgres.pid)
    postgres.stop()
    # The number now belongs to a process of another program, as after a restart of the machine or container.
    stranger = psutil.Process().parents()[-1]
    (postgres.data / "postmaster.pid").write_text(claim.replace(pid, str(stranger.pid)))
    (postgres.data / ".s.PGSQL.5432.lock").write_text(socket_claim.replace(pid, str(stranger.pid)))
    assert ask(start(postgres), "SELECT 1") == 1
    assert stranger.is_running()


def test_a_half_made_folder_is_made_anew(short_path: Path, start: Start) -> None:
    (short_path / "pg.new-1" / "base").mkdir(parents=True)
    (short_path / "pg.new-2").write_text("a password")
    assert ask(start(Postgres(short_path / "pg", fast=True)), "SELECT 1") == 1
    assert list(short_path.glob("pg.new*")) == []


def test_a_folder_of_other_things_is_left_alone(short_path: Path, start: Start) -> None:
    (short_path / "pg").mkdir()
    (short_path / "pg" / "thesis.txt").write_text("two years of work")
    with pytest.raises(PostgresError, match="holds other things than a database"):
        start(Postgres(short_path / "pg"))
    assert [path.name for path in (short_path / "pg").iterdir()] == ["thesis.txt"]


def test_a_folder_of_another_version_is_one_sentence(short_path: Path, start: Start) -> None:
    (short_path / "pg").mkdir()
    (short_path / "pg" / "PG_VERSION").write_text("17\n")
    with pytest.raises(PostgresError, match="was written by PostgreSQL 17, and this is 18"):
        start(Postgres(short_path / "pg"))


def test_a_server_that_cannot_start_shows_the_end_of_its_log(short_path: Path, start: Start) -> None:
    postgres = Postgres(short_path / "pg", fast=True)
    start(postgres)
    postgres.stop()
    with (postgres.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = on\n")
    with pytest.raises(PostgresError, match=r"(?s)postgres ended at its start.*no_such_setting"):
        start(postgres)
    assert postgres.pid is None


def test_a_full_disk_leaves_nothing_half_made(full_disk: Path, start: Start) -> None:
    with pytest.raises(PostgresError, match="No space left on device"):
        start(Postgres(full_disk / "pg"))
    assert list(full_disk.glob("pg*")) == []
