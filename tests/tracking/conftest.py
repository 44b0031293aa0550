"""Runs in a folder of the test's own, and processes that log."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from luml_app.tracking import Run


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the runs of this test are kept; nothing of the machine's own settings counts."""
    for name in ("LUML_OFFLINE", "LUML_ADDRESS", "LUML_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LUML_CONFIG_FILE", str(tmp_path / "config.toml"))
    monkeypatch.setenv("LUML_RUNS_FOLDER", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def begin() -> Iterator[Callable[..., Run]]:
    """Begins runs that watch nothing, and ends them."""
    begun: list[Run] = []

    def begin(name: str = "run", **options: Any) -> Run:
        begun.append(Run(name, **{"surroundings": False, "system_seconds": 0, **options}))
        return begun[-1]

    yield begin
    for run in begun:
        run.finish()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python processes; what is left of them is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rows(run_folder: Path, query: str) -> list[Any]:
    """What a query of the run's database gives, asked by the standard library."""
    with closing(sqlite3.connect(run_folder / "exp.db")) as database:
        return database.execute(query).fetchall()
