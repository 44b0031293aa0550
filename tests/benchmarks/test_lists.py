"""What lists cost with 100,000 artifacts in the orbit, beside what they cost with 1,000."""

from __future__ import annotations

import pytest

from tests.benchmarks.measuring import Platform, in_turns, p50, p95

pytestmark = pytest.mark.slow
FLAT = 1.5
ROUNDS = 60


def orbit_of(platform: Platform) -> str:
    """The path of Alice's orbit."""
    organization = next(one for one in platform.get("/v1/users/me/organizations") if one["name"] == "Wonderland")
    orbits = f"/v1/organizations/{organization['id']}/orbits"
    return f"{orbits}/{platform.get(orbits)[0]['id']}"


def compare(what: str, few: Platform, many: Platform, **query: object) -> float:
    """Print what the list costs on both sides; how many times more the median is on the large one."""
    places = {"few": (few, orbit_of(few)), "many": (many, orbit_of(many))}
    calls = {
        name: lambda one=one, where=where: one.get(f"{where}/artifacts", **query)  # type: ignore[misc]
        for name, (one, where) in places.items()
    }
    seconds = in_turns(ROUNDS, **calls)
    ratio = p50(seconds["many"]) / p50(seconds["few"])
    for name, times in seconds.items():
        print(f"\n{what}, {name}: p50 {p50(times):.2f} ms, p95 {p95(times):.2f} ms", end="")
    print(f"\n{what}: 100,000 artifacts cost {ratio:.2f} times as much as 1,000")
    return ratio


def test_the_newest_fifty(few: Platform, many: Platform) -> None:
    assert compare("newest 50", few, many) <= FLAT
