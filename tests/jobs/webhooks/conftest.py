"""A house that sends webhooks to receivers on the loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luml_app.jobs.courier import Courier
from luml_app.web.house import House
from tests.cast import Cast
from tests.jobs.receiver import LOOPBACK, Open, Receiver, answer, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receive(authority: tuple[Path, Path]) -> Iterator[Open]:
    """Opens receivers that behave so."""
    opened: list[Receiver] = []

    def open_one(*behaviours: Any, secure: bool = True) -> Receiver:
        opened.append(Receiver(authority[1] if secure else None, list(behaviours) or [answer(204)]))
        return opened[-1]

    yield open_one
    for one in opened:
        one.stop()


@pytest.fixture
def house(build_house: Callable[..., House], authority: tuple[Path, Path]) -> House:
    """One whose operator allows the loopback, and trusts the authority of the tests."""
    return build_house(webhook_networks=LOOPBACK, webhook_ca_file=str(authority[0]))


@pytest.fixture
def courier(house: House) -> Iterator[Courier]:
    courier = Courier(house.database, house.keys, house.settings)
    yield courier
    courier.stop()


@pytest.fixture
def hook(alices: Any, cast: Cast) -> Callable[..., Any]:
    """Creates a webhook of Alice's organization that sends to a receiver."""

    def create(receiver: Receiver, *actions: str, **fields: Any) -> Any:
        wanted = list(actions) or ["collection.*"]
        return alices.webhooks.create(cast.here.organization_id, url=receiver.url, actions=wanted, **fields)

    return create


@pytest.fixture
def act(alices: Any, cast: Cast) -> Callable[[str], Any]:
    """Something happens: Alice creates a collection of this name."""
    return lambda name: alices.collections.create(*cast.here.path, name=name, type="model")
