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
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from sqlalchemy.engine import make_url

from tests.cast import MASTER_KEY, key_of

WARM = 3


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
        self.database_url = database_url
        headers = {"Authorization": f"Bearer {key_of('alice')}"}
        self.http = httpx.Client(base_url=self.address, headers=headers, timeout=60)

    @cached_property
    def orbit(self) -> str:
        """The path of Alice's orbit."""
        organization = next(one for one in self.get("/v1/users/me/organizations") if one["name"] == "Wonderland")
        orbits = f"/v1/organizations/{organization['id']}/orbits"
        return f"{orbits}/{self.get(orbits)[0]['id']}"

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer, which must be a success."""
        return self._checked(self.http.get(path, params=query))

    def post(self, path: str, body: Any) -> Any:
        """The same of a POST."""
        return self._checked(self.http.post(path, json=body))

    def cpu_seconds(self) -> float:
        """What the server and its database backends have worked until now."""
        return busy([self.process]) + busy(backends(self.database_url))

    def close(self) -> None:
        """Stop the server."""
        self.http.close()
        self._child.terminate()
        self._child.wait(timeout=30)

    def _checked(self, answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()


def busy(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of these processes until now, by user and system."""
    return sum(times.user + times.system for times in (one.cpu_times() for one in processes))


def backends(database_url: str) -> list[psutil.Process]:
    """The processes of PostgreSQL that serve this database's connections."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as connection:
        return [psutil.Process(pid) for (pid,) in connection.execute(query)]


def compare(
    what: str, platforms: tuple[Platform, Platform], call: Callable[[Platform], Any], rounds: int = 60
) -> float:
    """Call both in turns, print what it costs; how many times as much CPU the second one takes as the first."""
    first, second = platforms
    for one in platforms:
        for _ in range(5):
            call(one)
    before = [one.cpu_seconds() for one in platforms]
    seconds = in_turns(rounds, first=lambda: call(first), second=lambda: call(second))
    spent = [one.cpu_seconds() - start for one, start in zip(platforms, before, strict=True)]
    for name, times, cpu in zip(("few", "many"), seconds.values(), spent, strict=True):
        each = 1000 * cpu / (rounds + WARM)
        print(f"\n{what}, {name}: p50 {p50(times):.2f} ms, p95 {p95(times):.2f} ms, CPU {each:.2f} ms", end="")
    print(f"\n{what}: with many it takes {spent[1] / spent[0]:.2f} times the CPU")
    return spent[1] / spent[0]


def in_turns(rounds: int, **calls: Callable[[], Any]) -> dict[str, list[float]]:
    """Seconds of each call, `rounds` times, one after the other in turns; a few more before warm things up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(-WARM, rounds):
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
