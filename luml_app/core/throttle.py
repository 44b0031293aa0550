"""Limits on credentials: who guesses, or has mails sent to others, is slowed down; nobody is locked out by a stranger.

A limit belongs to an address of the network, alone or together with an account: somebody who guesses Alice's password
from afar uses up what *they* may try, and Alice, at her own desk, notices nothing. It stands in the database, so that
all server processes hold it together, as one moment per key: when it will be whole again (GCRA, a leaky bucket without
the bucket). One statement looks and charges.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, DateTime, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from luml_app.core.db import Database
from luml_app.core.keys import Keys
from luml_app.core.tables import throttles
from luml_app.schemas.errors import TooManyRequests, Unauthenticated


@dataclass(frozen=True)
class Limit:
    """So many at once (`burst`), and then one every `seconds`."""

    burst: int
    seconds: float


@dataclass(frozen=True)
class Throttle:
    """The limits of an operation: per address of the network, and per such address and account together.

    `failures`: only what fails counts; what succeeds is given back.
    """

    name: str
    per_ip: Limit
    per_account: Limit | None = None
    failures: bool = True


SIGN_IN = Throttle("signin", per_ip=Limit(60, 10), per_account=Limit(10, 60))
MAILING = Throttle("mail", per_ip=Limit(30, 60), per_account=Limit(5, 300), failures=False)
TOKENS = Throttle("token", per_ip=Limit(60, 10))
VISITS = Throttle("visit", per_ip=Limit(60, 5), failures=False)
KEYS = Throttle("key", per_ip=Limit(120, 1))
MAILS_TO_ONE = Limit(5, 600)

Charge = tuple[str, Limit]


@contextmanager
def throttled(
    database: Database, keys: Keys, throttle: Throttle | None, ip: str | None, account: str | None, *, shown: bool
) -> Iterator[None]:
    """Run an operation under its limits. Callers inside the process (`ip` None) have none.

    `shown`: a credential is shown. One that is not valid is charged after the fact, so that valid ones cost nothing.
    Raises TooManyRequests.
    """
    charges = [] if throttle is None or ip is None else _charges(keys, throttle, ip, account)
    if charges:
        with database.read() as db:
            _refuse_if_used_up(charge(db, charges))
    try:
        yield
    except Unauthenticated:
        if throttle is None and ip is not None and shown:
            with database.read() as db:
                _refuse_if_used_up(charge(db, _charges(keys, KEYS, ip, None)))
        raise
    if charges and throttle is not None and throttle.failures:
        with database.read() as db:
            give_back(db, charges)


def _charges(keys: Keys, throttle: Throttle, ip: str, account: str | None) -> list[Charge]:
    """What a try is charged to, the narrower one first: when that refuses, the address as a whole is not charged."""
    place = _network(ip)
    found: list[Charge] = []
    if throttle.per_account is not None and account is not None:
        found.append((keys.hash(f"{throttle.name} {place} {account.lower()}"), throttle.per_account))
    return [*found, (keys.hash(f"{throttle.name} {place}"), throttle.per_ip)]


def _network(ip: str) -> str:
    """The address, or of an IPv6 one the network: whoever has one of those has all its addresses."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return ip


def _refuse_if_used_up(seconds: float | None) -> None:
    if seconds is not None:
        raise TooManyRequests(f"Too many tries; try again in {_in_words(seconds)}.", retry_after=max(1.0, seconds))


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def charge(db: Connection, charges: Sequence[Charge]) -> float | None:
    """Charge each, in turn, until one is used up: the seconds until that one has room again, or None when all had."""
    steps: list[Any] = []
    for key, limit in charges:
        source = select(literal(key), func.now() + _cost(limit))
        if steps:
            source = source.where(select(1).select_from(steps[-1]).exists())
        steps.append(_upsert(source, limit))
    last_done = select(1).select_from(steps[-1]).exists()
    waits = [_wait(key, limit, step) for (key, limit), step in zip(charges, steps, strict=True)]
    seconds = db.scalar(select(case((last_done, None), else_=func.coalesce(*waits, 1.0))).add_cte(*steps))
    return None if seconds is None else float(seconds)


def _upsert(source: Any, limit: Limit) -> Any:
    k = throttles
    new = insert(k).from_select(["key", "whole_at"], source)
    used = {"whole_at": func.greatest(k.c.whole_at, func.now()) + _cost(limit)}
    room = k.c.whole_at <= func.now() + _cost(limit) * (limit.burst - 1)
    return new.on_conflict_do_update(index_elements=["key"], set_=used, where=room).returning(k.c.key).cte()


def _wait(key: str, limit: Limit, step: Any) -> Any:
    """The seconds until this key has room again; null when it was not this one that refused."""
    k = throttles
    room_at = k.c.whole_at - _cost(limit) * (limit.burst - 1)
    seconds = func.extract("epoch", room_at - func.now())
    refused = ~select(1).select_from(step).exists()
    return select(seconds).where(k.c.key == key, seconds > 0, refused).scalar_subquery()


def _cost(limit: Limit) -> Any:
    return timedelta(seconds=limit.seconds)


def give_back(db: Connection, charges: Sequence[Charge]) -> None:
    """Take charges back."""
    k = throttles
    cost = case(*((k.c.key == key, literal(_cost(limit))) for key, limit in charges))
    whole_at = func.cast(k.c.whole_at - cost, DateTime(timezone=True))
    db.execute(update(k).where(k.c.key.in_([key for key, _ in charges])).values(whole_at=whole_at))
