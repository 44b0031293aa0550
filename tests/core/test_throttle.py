"""Limits on credentials, held by all processes together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, text, update

from luml_app.core.db import Database
from luml_app.core.tables import throttles
from luml_app.core.throttle import KEYS, Limit, Throttle, charge, give_back, throttled
from luml_app.schemas.errors import TooManyRequests, Unauthenticated
from luml_app.web.house import House
from tests.cast import KEYS as SECRETS

PAIR, PLACE = ("alice from here", Limit(3, 60)), ("here", Limit(10, 5))
GUESSES = Throttle("guess", per_ip=Limit(100, 1), per_account=Limit(3, 60))


@pytest.fixture
def database(house: House) -> Database:
    return house.database


def spend(database: Database, *charges: tuple[str, Limit]) -> float | None:
    with database.read() as db:
        return charge(db, charges)


def go_on(database: Database, seconds: float) -> None:
    """Let so much time pass for the limits."""
    with database.write() as db:
        db.execute(update(throttles).values(whole_at=throttles.c.whole_at - text(f"interval '{seconds} seconds'")))


def test_a_burst_is_free_and_then_time_must_pass(database: Database) -> None:
    assert [spend(database, PAIR, PLACE) for _ in range(3)] == [None] * 3
    wait = spend(database, PAIR, PLACE)
    assert wait is not None
    assert 50 < wait <= 60
    go_on(database, 61)
    assert spend(database, PAIR, PLACE) is None
    assert spend(database, PAIR, PLACE) is not None


def test_to_be_refused_costs_nothing_more(database: Database) -> None:
    for _ in range(30):
        spend(database, PAIR, PLACE)
    assert [spend(database, PLACE) for _ in range(8)] == [None] * 7 + [pytest.approx(5, abs=5)]


def test_what_succeeded_is_given_back(database: Database) -> None:
    for _ in range(20):
        assert spend(database, PAIR, PLACE) is None
        with database.read() as db:
            give_back(db, [PAIR, PLACE])


def test_many_at_once_get_no_more_than_one_after_the_other(database: Database) -> None:
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: spend(database, PAIR, PLACE), range(40)))
    assert answers.count(None) == 3
    with database.read() as db:
        assert db.scalar(func.count(throttles.c.key).select()) == 2


def guess(house: House, ip: str | None, account: str = "alice@example.org", *, right: bool = False) -> None:
    with throttled(house.database, SECRETS, GUESSES, ip, account, shown=False):
        if not right:
            raise Unauthenticated


def test_a_stranger_uses_up_only_what_the_stranger_may_try(house: House) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            guess(house, "203.0.113.9")
    with pytest.raises(TooManyRequests) as caught:
        guess(house, "203.0.113.9", "Alice@Example.org")
    assert caught.value.retry_after
    guess(house, "198.51.100.1", right=True)
    guess(house, "203.0.113.9", "bob@example.org", right=True)


def test_an_ipv6_network_counts_as_one_address(house: House) -> None:
    for last in range(3):
        with pytest.raises(Unauthenticated):
            guess(house, f"2001:db8:1:2::{last}")
    with pytest.raises(TooManyRequests):
        guess(house, "2001:db8:1:2:ffff::1")
    guess(house, "2001:db8:1:3::1", right=True)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            guess(house, "::ffff:203.0.113.1")
    guess(house, "::ffff:203.0.113.2", right=True)


def test_inside_the_process_nobody_is_limited(house: House) -> None:
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            guess(house, None)


def test_keys_that_are_not_valid_are_charged_and_valid_ones_are_not(house: House) -> None:
    def show(valid: bool) -> None:
        with throttled(house.database, SECRETS, None, "203.0.113.9", None, shown=True):
            if not valid:
                raise Unauthenticated

    charged = 0
    with pytest.raises(TooManyRequests):  # at last: on a slow machine some are forgiven meanwhile
        while charged < 20 * KEYS.per_ip.burst:
            with pytest.raises(Unauthenticated):
                show(False)
            charged += 1
    assert charged >= KEYS.per_ip.burst
    show(True)
    with house.database.read() as db:
        assert db.scalar(func.count(throttles.c.key).select()) == 1
