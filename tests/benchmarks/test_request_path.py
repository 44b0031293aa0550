"""What a request costs: beside the least that is possible, and among many artifacts beside few.

Times are printed for people; what is asserted are ratios of what was measured in turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import pytest

from tests.api.stage import announced
from tests.benchmarks.measuring import Platform, in_turns, p50, p95
from tests.benchmarks.wire import Wire, request_for, requests_per_second

pytestmark = pytest.mark.slow


@dataclass
class Side:
    """One of two servers that are measured in turns."""

    address: str
    process: psutil.Process
    request: bytes

    def cost(self, number: int = 400) -> float:
        """CPU milliseconds of the server's process for each of so many requests, one after the other."""
        wire, before = Wire(self.address), self._seconds()
        for _ in range(number):
            wire.call(self.request)
        wire.close()
        return (self._seconds() - before) / number * 1000

    def speed(self) -> float:
        """Requests a second over 16 connections."""
        return requests_per_second(self.address, self.request, connections=16, number=1600)

    def _seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


def orbit_of(platform: Platform) -> str:
    organization = platform.get("/v1/users/me/organizations")[0]["id"]
    orbit = platform.get(f"/v1/organizations/{organization}/orbits")[0]["id"]
    return f"/v1/organizations/{organization}/orbits/{orbit}"


def one_of(platform: Platform) -> dict[str, Any]:
    one: dict[str, Any] = platform.get(f"{orbit_of(platform)}/artifacts", limit=1)["items"][0]
    return one


def paths_of(platform: Platform) -> dict[str, str]:
    here, one = orbit_of(platform), one_of(platform)
    return {
        "me": "/v1/auth/users/me",
        "artifacts.find": f"{here}/artifacts/{one['id']}",
        "artifacts.get": f"{here}/collections/{one['collection_id']}/artifacts/{one['id']}",
        "artifacts.list": f"{here}/artifacts?limit=50",
    }


@pytest.fixture
def yardstick(many: Platform) -> Iterator[Side]:
    command = [sys.executable, "-m", "tests.benchmarks.yardstick", many.database_url]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    address = child.stdout.readline().strip()
    yield Side(address, psutil.Process(child.pid), request_for(f"/{one_of(many)['id']}"))
    child.terminate()
    child.wait(timeout=30)


def test_a_read_by_id_beside_the_least_that_is_possible(many: Platform, yardstick: Side) -> None:
    path = paths_of(many)["artifacts.find"]
    ours = Side(many.address, many.process, request_for(path))
    costs: dict[str, list[float]] = {"ours": [], "least": []}
    speeds: dict[str, list[float]] = {"ours": [], "least": []}
    for number in range(-1, 7):
        for name, side in (("ours", ours), ("least", yardstick)):
            cost, speed = side.cost(), side.speed()
            if number >= 0:
                costs[name].append(cost)
                speeds[name].append(speed)
    cost, speed = ({n: statistics.median(v) for n, v in found.items()} for found in (costs, speeds))
    print(f"\nCPU per authenticated read by id: {cost['ours']:.2f} ms, at least {cost['least']:.2f} ms")
    print(f"Requests a second by one process: {speed['ours']:.0f}, at most {speed['least']:.0f}")
    assert cost["ours"] < 2.5 * cost["least"]
    assert speed["ours"] > speed["least"] / 3


@pytest.mark.parametrize("name", ["me", "artifacts.find", "artifacts.get", "artifacts.list"])
def test_among_many_it_costs_what_it_costs_among_few(name: str, few: Platform, many: Platform) -> None:
    calls: dict[str, Callable[[], Any]] = {}
    for size, platform in (("few", few), ("many", many)):
        calls[size] = partial(Wire(platform.address).call, request_for(paths_of(platform)[name]))
    found = in_turns(300, **calls)
    _report(name, found)
    assert p50(found["many"]) < 1.5 * p50(found["few"])


def test_to_create_among_many_costs_what_it_costs_among_few(few: Platform, many: Platform) -> None:
    calls: dict[str, Callable[[], Any]] = {}
    for size, platform in (("few", few), ("many", many)):
        path = f"{orbit_of(platform)}/collections/{one_of(platform)['collection_id']}/artifacts"
        request = request_for(path, json.dumps(announced()).encode())
        calls[size] = partial(Wire(platform.address).call, request)
    found = in_turns(150, **calls)
    _report("artifacts.create", found)
    assert p50(found["many"]) < 1.5 * p50(found["few"])


def _report(name: str, found: dict[str, list[float]]) -> None:
    print(f"\n{name} among 100,000: p50 {p50(found['many']):.2f} ms, p95 {p95(found['many']):.2f} ms; "
          f"among 1,000: p50 {p50(found['few']):.2f} ms")  # fmt: skip
