"""Runs beside other processes: killed ones, forked ones, spawned ones, and a disk that refuses."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from luml_app.tracking import Run, TrackingError
from luml_app.tracking.destination import unsent
from luml_app.tracking.errors import TrackingWarning
from luml_app.tracking.folders import RunFolder
from luml_app.tracking.writer import Writer
from tests.serving import until
from tests.tracking.conftest import rows
from tests.tracking.worker import log_much

Begin = Callable[..., Run]
Start = Callable[..., subprocess.Popen[str]]

LOGS_FOR_EVER = """
import itertools
from luml_app.tracking import Run
run = Run("long", surroundings=False, system_seconds=0)
print(run.path, flush=True)
for step in itertools.count():
    run.log({"loss": float(step), "acc": 0.5})
    if step % 1000 == 999:
        run.flush()
        print(step, flush=True)
"""


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_killed_process_loses_nothing_that_was_written(start: Start, begin: Begin, runs: Path) -> None:
    process = start(LOGS_FOR_EVER)
    path, flushed = Path(line_of(process)), 0
    for _ in range(5):
        flushed = int(line_of(process))
    assert list(unsent(runs)) == [], "it runs"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [folder.path for folder, _ in unsent(runs)] == [path]
    (count, last), *_ = rows(path, "SELECT count(*), max(step) FROM dynamic_metrics WHERE key = 'loss'")
    assert count == last + 1 >= flushed + 1, "no holes, and all that was flushed"
    again = begin(resume=path.name)
    again.log({"loss": -1.0})
    assert again.curve("loss", first=last + 1) == ([last + 1], [-1.0])


def test_what_was_logged_is_on_disk_without_a_flush(start: Start) -> None:
    process = start(
        "import sys; from luml_app.tracking import Run\n"
        "run = Run('x', surroundings=False, system_seconds=0); run.log({'a': 1.0}); run.log(params={'b': 2})\n"
        "run.attach(b'c', 'c'); print(run.path, flush=True); sys.stdin.read()"
    )
    path = Path(line_of(process))
    until(lambda: rows(path, "SELECT count(*) FROM attachments") == [(1,)], "it is on disk")
    process.kill()
    assert rows(path, "SELECT key, value FROM dynamic_metrics") == [("a", 1.0)]
    assert rows(path, "SELECT key, value FROM static_params") == [("b", "2")]


@pytest.mark.parametrize(
    ("last_line", "status", "error"),
    [
        ("", "completed", None),
        ("raise ValueError('bad')", "failed", "ValueError: bad"),
        ("raise KeyboardInterrupt", "aborted", "KeyboardInterrupt"),
    ],
)
def test_a_script_that_forgets_to_end_its_run(
    start: Start, last_line: str, status: str, error: str | None, runs: Path
) -> None:
    process = start(f"from luml_app.tracking import Run; run = Run('x'); run.log({{'a': 1.0}})\n{last_line}")
    process.wait()
    ((folder, record),) = unsent(runs)
    assert (record.status, record.error) == (status, error)
    assert rows(folder.path, "SELECT key, value FROM dynamic_metrics WHERE key = 'a'") == [("a", 1.0)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_processes_log_to_one_run(begin: Begin, method: str) -> None:
    context = multiprocessing.get_context(method)
    run = begin()
    log_much(run, 0)
    children = [context.Process(target=log_much, args=(run, number)) for number in (1, 2)]
    for child in children:
        child.start()
    log_much(run, 3)
    for child in children:
        child.join()
        assert child.exitcode == 0
    run.finish()
    assert rows(run.path, "SELECT count(*), max(step) FROM dynamic_metrics WHERE key = 'shared'") == [(4000, 3999)]
    assert len(rows(run.path, "SELECT DISTINCT key FROM dynamic_metrics")) == 5


def test_ctrl_c_ends_a_run_as_aborted(start: Start, runs: Path) -> None:
    process = start(
        "import time; from luml_app.tracking import Run\n"
        "with Run('x', surroundings=False, system_seconds=0) as run:\n"
        "    run.log({'a': 1.0}); print('logs', flush=True)\n"
        "    while True: time.sleep(1)"
    )
    assert line_of(process) == "logs"
    process.send_signal(signal.SIGINT)
    process.wait()
    ((folder, record),) = unsent(runs)
    assert (record.status, record.error) == ("aborted", "KeyboardInterrupt")
    assert rows(folder.path, "SELECT count(*) FROM dynamic_metrics") == [(1,)]


def test_the_cells_of_a_notebook_are_kept(start: Start, runs: Path) -> None:
    process = start(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "for cell in ('before = 1', 'from luml_app.tracking import Run\\nrun = Run(\"x\")', 'y = 2', 'run.finish()'):\n"
        "    shell.run_cell(cell, store_history=True).raise_error()"
    )
    assert process.wait() == 0, process.communicate()
    ((folder, _),) = unsent(runs)
    cells = (folder.path / "attachments/surroundings/cells.py").read_text()
    assert "before = 1" not in cells
    assert [line for line in cells.splitlines() if line and not line.startswith("#")] == [
        "from luml_app.tracking import Run", 'run = Run("x")', "y = 2", "run.finish()",
    ]  # fmt: skip


def test_a_run_that_is_being_sent_cannot_be_resumed_and_one_that_runs_cannot_be_sent(begin: Begin) -> None:
    run = begin()
    folder = RunFolder(run.path)
    with folder.alone() as nobody_logs:
        assert not nobody_logs
    run.finish()
    with folder.alone() as nobody_logs, pytest.raises(TrackingError, match="being sent"):
        assert nobody_logs
        begin(resume=run.id)


def test_what_can_never_be_written_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "exp.db")
    with pytest.warns(TrackingWarning, match=r"nonsense.*lost"):
        writer.execute(("nonsense", ()))
        writer.flush()
    writer.log([("a", 1.0, None, 0.0)])
    writer.close()
    assert (rows(tmp_path, "SELECT count(*) FROM dynamic_metrics"), writer.lost) == ([(1,)], 1)


def test_a_disk_that_refuses_ends_no_training_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "exp.db", capacity=10, patience=0.2)
    with closing(sqlite3.connect(tmp_path / "exp.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # whoever holds the file is as bad as a full disk
        with pytest.warns(TrackingWarning, match="from now on is lost"):
            for step in range(100):
                writer.log([("a", 1.0, step, 0.0)])
        kept = 100 - writer.lost
        assert 10 <= kept < 100
        holder.execute("ROLLBACK")
    writer.close()
    assert rows(tmp_path, "SELECT count(*) FROM dynamic_metrics") == [(kept,)]
