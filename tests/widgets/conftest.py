"""Apis over which the widgets are tried, and an orbit with something in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.cast import Cast, Person, Place
from tests.serving import RunningServer
from tests.widgets.stage import Outpost


@pytest.fixture
def here(cast: Cast) -> Place:
    """Alice's orbit."""
    return cast.here


@pytest.fixture(params=["local", "http"])
def seen(request: pytest.FixtureRequest, connect: Callable[..., Any], alice: Person, server: RunningServer) -> Any:
    """Alice's api as the dashboard has it, and as a notebook has it."""
    return connect(alice, request.param)


@pytest.fixture
def collection(alices: Any, here: Place, server: RunningServer) -> UUID:
    """A collection for anything; the server's store takes the bytes."""
    found: UUID = alices.collections.create(*here.path, name="churn", type="mixed", description="Who leaves").id
    return found


@pytest.fixture
def outpost(alices: Any, here: Place, connect: Callable[..., Any]) -> Outpost:
    """A paired satellite."""
    return Outpost(alices, here, connect)
