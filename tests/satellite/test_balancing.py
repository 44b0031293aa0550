"""Shares of requests, and what the gateway remembers of them; no network in here."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satellite.gateway.balancing import DOWN_SECONDS, Balancer
from satellite.gateway.routes import Backend, Route
from satellite.gateway.stats import SLICE_SECONDS, SLICES, Window


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def route(**weights: int) -> Route:
    return Route("ready", tuple(Backend(f"http://{name}", name, name, weight) for name, weight in weights.items()))


def turns(balancer: Balancer, where: Route, count: int) -> Counter[str]:
    return Counter(balancer.order("d", where, {})[0].revision for _ in range(count))


def test_a_canary_gets_exactly_its_share() -> None:
    assert turns(Balancer(), route(old=95, new=5), 100) == {"old": 95, "new": 5}


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 100), min_size=2))
def test_shares_are_exact_over_a_round(weights: dict[str, int]) -> None:
    assert turns(Balancer(), route(**weights), sum(weights.values())) == weights


def test_a_canary_waits_at_most_a_round_for_its_turn() -> None:
    balancer = Balancer()
    for _ in range(7):
        balancer.order("d", route(old=100, new=0), {})
    firsts = [balancer.order("d", route(old=90, new=10), {})[0].revision for _ in range(20)]
    assert "new" in firsts[:10]
    assert firsts.count("new") == 2


def test_within_a_revision_the_least_busy_is_asked_first_and_the_others_follow() -> None:
    where = Route("ready", tuple(Backend(f"u{number}", "r", "d") for number in range(3)))
    order = Balancer().order("d", where, {"u0": 3, "u1": 1, "u2": 2})
    assert [backend.url for backend in order] == ["u1", "u2", "u0"]


def test_who_did_not_answer_is_asked_last_for_a_while() -> None:
    clock = Clock()
    balancer = Balancer(clock)
    balancer.note_down("http://a")
    assert [one.revision for one in balancer.order("d", route(a=100, b=1), {})] == ["b", "a"]
    clock.now += DOWN_SECONDS
    assert turns(balancer, route(a=100, b=1), 1) == {"a": 1}


def test_mirrors_and_backends_without_a_share_get_no_turn() -> None:
    backends = (Backend("a", "a", "a"), Backend("b", "b", "b", 0), Backend("c", "c", "c", 100, mirror=True))
    assert [one.url for one in Balancer().order("d", Route("ready", backends), {})] == ["a"]


def test_a_window_knows_counts_errors_and_percentiles_to_a_quarter() -> None:
    window = Window(Clock())
    for number in range(100):
        window.note(0.01 if number < 90 else 0.5, failed=number % 10 == 0)
    summary = window.summary()
    assert (summary.requests, summary.errors) == (100, 10)
    assert summary.p50 == pytest.approx(0.01, rel=0.25)
    assert summary.p95 == pytest.approx(0.5, rel=0.25)


def test_a_window_forgets() -> None:
    clock = Clock()
    window = Window(clock)
    window.note(1.0, failed=True)
    clock.now += SLICE_SECONDS * SLICES + 1
    window.note(0.1, failed=False)
    assert (window.summary().requests, window.summary().errors) == (1, 0)
