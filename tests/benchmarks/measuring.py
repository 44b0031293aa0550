"""How benchmarks measure: a server process of its own, calls taken in turns, ratios of medians.

The machine may be busy with other things. What is compared is therefore measured in one run, turn by turn, so that a
noisy second hits both sides; and a benchmark prints what it found and asserts a ratio, never a time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.cast import MASTER_KEY, key_of


class Platform:
    """`luml serve` in a process of its own, and a connection of Alice's to it that stays open."""

    def __init__(self, database_url: str, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        settings = {"HOME": str(home), "DATABASE_URL": database_url, "PORT": "0", "SECRET_KEYS": MASTER_KEY}
        environment = os.environ | {f"LUML_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "luml_app.cli", "serve", "--role", "api"]
        self._child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        line = (self._child.stdout or sys.stdin).readline()
        assert "http://" in line, f"The server did not start: {line!r}"
        self.address = line.split()[-1]
        self.process = psutil.Process(self._child.pid)
        headers = {"Authorization": f"Bearer {key_of('alice')}"}
        self.http = httpx.Client(base_url=self.address, headers=headers, timeout=60)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer, which must be a success."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """Stop the server."""
        self.http.close()
        self._child.terminate()
        self._child.wait(timeout=30)


def in_turns(rounds: int, **calls: Callable[[], Any]) -> dict[str, list[float]]:
    """Seconds of each call, `rounds` times, one after the other in turns; three more rounds before warm things up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(-3, rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number >= 0:
                found[name].append(time.perf_counter() - started)
    return found


def p50(seconds: list[float]) -> float:
    """The median, in milliseconds."""
    return statistics.median(seconds) * 1000


def p95(seconds: list[float]) -> float:
    """What 95 of 100 stay below, in milliseconds."""
    return statistics.quantiles(seconds, n=20)[-1] * 1000
