"""How fast a run takes what a training logs, beside SQLite alone and beside MLflow, and how fast a long run opens."""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from luml_app.packaging.archive import Archive
from luml_app.packaging.metric_curves import CURVES
from luml_app.packaging.metrics_database import open_database
from luml_app.tracking import Run
from luml_app.tracking.destination import pack
from luml_app.tracking.folders import RunFolder
from tests.benchmarks.measuring import in_turns, p50
from tests.benchmarks.peers import python_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
POINTS = 50_000
KEYS = [f"metric {number}" for number in range(5)]
MLFLOW = """
import sys, time, mlflow
mlflow.set_tracking_uri(sys.argv[1])
steps = int(sys.argv[2])
with mlflow.start_run():
    mlflow.log_metrics({"warm": 1.0}, step=0)
    started = time.perf_counter()
    for step in range(steps):
        mlflow.log_metrics({f"metric {n}": 0.5 * step for n in range(5)}, step=step)
    print(5 * steps / (time.perf_counter() - started))
"""


def quiet(folder: Path, name: str = "run") -> Run:
    return Run(name, folder=folder, surroundings=False, system_seconds=0)


def log_points(run: Run) -> None:
    for step in range(POINTS // len(KEYS)):
        run.log(dict.fromkeys(KEYS, 0.5 * step), step=step)
    run.flush()


@pytest.fixture
def points_a_second(tmp_path: Path) -> float:
    """The median of what a run takes, until the last point is on disk."""
    seconds = []
    for number in range(5):
        with quiet(tmp_path / "runs", f"run {number}") as run:
            started = time.perf_counter()
            log_points(run)
            seconds.append(time.perf_counter() - started)
    return POINTS / statistics.median(seconds)


def test_a_run_beside_sqlite_alone(tmp_path: Path) -> None:
    """The same rows by one `executemany`: what the disk and SQLite take by themselves."""
    fresh = iter(range(1000))

    def ours() -> None:
        with quiet(tmp_path / "runs") as run:
            log_points(run)

    def alone() -> None:
        rows = [(key, 0.5 * step, step, time.time()) for step in range(POINTS // len(KEYS)) for key in KEYS]
        with closing(open_database(tmp_path / f"{next(fresh)}.db")) as database, database:
            database.executemany("INSERT OR REPLACE INTO dynamic_metrics VALUES (?, ?, ?, ?)", rows)

    seconds = in_turns(5, ours=ours, alone=alone)
    each = {name: POINTS / (p50(times) / 1000) for name, times in seconds.items()}
    print(f"\npoints a second, on disk: a run {each['ours']:,.0f}, executemany {each['alone']:,.0f}")
    assert each["alone"] / each["ours"] < 8


@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_a_run_beside_mlflow(
    tmp_path: Path, points_a_second: float, request: pytest.FixtureRequest, store: str
) -> None:
    """MLflow's tracking into a folder, and into SQLite, five metrics by each call, as its documentation shows."""
    python = python_with(request.config.cache.mkdir("mlflow"), ("mlflow", "psycopg2-binary"))  # type: ignore[union-attr]
    address = (tmp_path / "mlruns").as_uri() if store == "file" else f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [str(python), "-c", MLFLOW, address, "100"]
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"}  # newer ones track into folders on demand only
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = float(done.stdout.split()[-1])
    print(f"\npoints a second: a run {points_a_second:,.0f}, MLflow ({store}) {theirs:,.0f}")
    assert points_a_second / theirs > 20


def test_a_run_of_a_million_points_opens_without_reading_them(tmp_path: Path) -> None:
    """What a screen needs, from the packed file: beside reading all the points out of an open database."""
    with quiet(tmp_path) as run:
        for step in range(100_000):
            run.log({f"{key} {half}": float(step % 777) for key in KEYS for half in (1, 2)}, step=step)
        run.flush()
    started = time.perf_counter()
    file = pack(RunFolder(run.path), tmp_path / "run.tar").path
    print(f"\npacking a million points: {time.perf_counter() - started:.1f} s, {file.stat().st_size / 1e6:.1f} MB")

    def curves() -> None:
        assert len(Archive(file).read_json(CURVES)["metrics"]) == 10

    def thinned() -> None:
        assert max(run.curve("metric 1 2")[1]) == 776.0

    def everything() -> None:
        with closing(sqlite3.connect(run.path / "exp.db")) as database:
            assert len(database.execute("SELECT key, step, value FROM dynamic_metrics").fetchall()) == 1_000_000

    seconds = in_turns(3, curves=curves, thinned=thinned, everything=everything)
    shown = ", ".join(f"{name} {p50(times):.0f} ms" for name, times in seconds.items())
    print(f"a million points: {shown}")
    assert p50(seconds["everything"]) / p50(seconds["curves"]) > 10
    assert p50(seconds["thinned"]) < p50(seconds["everything"])
