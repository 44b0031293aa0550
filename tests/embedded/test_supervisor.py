"""A house of a database and a stubborn family: it ends completely, and recovers from every way of being killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from luml_app.embedded.children import ChildError, Command
from luml_app.embedded.home import Home
from luml_app.embedded.supervisor import Supervisor
from tests.embedded.conftest import House, alive, eventually


def write_row(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS rows (number int)")
        connection.execute("INSERT INTO rows VALUES (1)")


def count_rows(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        return len(connection.execute("SELECT * FROM rows").fetchall())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_whole_house(house: House, number: signal.Signals) -> None:
    house.open()
    assert len(house.inhabitants()) >= 7
    house.signal(number)
    assert house.end() == 0
    assert house.inhabitants() == set()
    assert list((house.home / "run").glob("*.json")) == []


def test_a_second_signal_does_not_wait_for_the_grace(house: House) -> None:
    house.open(grace=3600)
    house.signal(signal.SIGTERM)
    eventually(lambda: not alive_after_another_signal(house), "the hurried end")
    assert house.end() == 0
    assert house.inhabitants() == set()


def alive_after_another_signal(house: House) -> bool:
    house.signal(signal.SIGTERM)
    return alive(house.facts["pids"]["stubborn"])


def test_after_the_supervisor_was_killed_the_next_start_clears_up(house: House) -> None:
    house.open()
    write_row(house.facts["url"])
    house.signal(signal.SIGKILL)
    house.end()
    first = house.facts["pids"]
    assert house.inhabitants(), "the stubborn family outlives its supervisor"

    house.open()
    assert not any(alive(pid) for pid in first.values())
    assert count_rows(house.facts["url"]) == 1
    house.signal(signal.SIGTERM)
    assert house.end() == 0
    assert house.inhabitants() == set()


def test_a_killed_database_is_started_again_with_its_data(house: House) -> None:
    house.open()
    write_row(house.facts["url"])
    os.kill(house.facts["pids"]["postgres"], signal.SIGKILL)
    assert "postgres ended (by SIGKILL)" in house.next_event()["event"]

    def rows() -> int:
        try:
            return count_rows(house.facts["url"])
        except psycopg.OperationalError:
            return 0

    assert eventually(rows, "the restart") == 1


def test_a_killed_child_is_replaced_and_leaves_nobody_in_its_group(house: House) -> None:
    house.open()
    old = psutil.Process(house.facts["pids"]["stubborn"])
    child = old.children()[0]
    old.kill()
    assert "stubborn ended (by SIGKILL)" in house.next_event()["event"]
    eventually(lambda: not child.is_running(), "the end of the orphan")
    record = house.home / "run" / "stubborn.json"
    eventually(lambda: record.exists() and str(old.pid) not in record.read_text(), "the restart")


def test_a_second_start_on_the_same_home_says_so(house: House) -> None:
    house.open()
    assert house.process
    second = house.launch()
    out, err = second.communicate(timeout=30)
    assert (second.returncode, out) == (1, "")
    assert f"LUML is already running on this home (pid {house.process.pid})" in err
    assert len(err.splitlines()) == 1
    assert undisturbed(house)


def undisturbed(house: House) -> bool:
    return all(alive(pid) for pid in house.facts["pids"].values())


def test_a_stranger_with_a_recorded_number_is_left_alone(house: House) -> None:
    run = house.home / "run"
    run.mkdir(parents=True)
    me = psutil.Process()
    (run / "stubborn.json").write_text(f'{{"pid": {me.pid}, "created": {me.create_time() - 60}, "argv": ["luml"]}}')
    (run / "postgres.json").write_text('{"pid": "half a rec')
    house.open()
    assert me.is_running()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").prepare()


def test_a_child_that_ends_at_its_start_shows_the_end_of_its_log(home: Home) -> None:
    dying = Command("dying", (sys.executable, "-c", "import sys; sys.exit('no such port: 99999')"))
    with (
        pytest.raises(ChildError, match=r"(?s)dying ended at its start.*no such port: 99999"),
        Supervisor(home.run, home.logs, mark=home.mark, report=print) as supervisor,
    ):
        supervisor.start(dying, ready=lambda: False)


def test_a_program_that_does_not_exist_is_one_sentence(home: Home) -> None:
    with (
        pytest.raises(ChildError, match=r"missing cannot be started: .*No such file"),
        Supervisor(home.run, home.logs, mark=home.mark, report=print) as supervisor,
    ):
        supervisor.start(Command("missing", ("/no/such/program",)))


def test_a_child_that_is_never_ready_is_ended(home: Home) -> None:
    waiting = Command("waiting", (sys.executable, "-c", "import signal; signal.pause()"))
    pids: list[int] = []

    def note() -> bool:
        pids.extend(supervisor.pids.values())
        return False

    with (
        pytest.raises(ChildError, match="waiting was not ready after 0 s"),
        Supervisor(home.run, home.logs, mark=home.mark, report=print) as supervisor,
    ):
        supervisor.start(waiting, ready=note, patience=0.1)
    assert not alive(pids[0])


def test_handlers_are_put_back(home: Home) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Supervisor(home.run, home.logs, mark=home.mark, report=print):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
