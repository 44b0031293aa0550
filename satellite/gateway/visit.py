"""A request on its way to whoever answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from satellite.gateway.dispatch import Gateway
from satellite.gateway.exchange import Exchange


@dataclass(frozen=True)
class Visit:
    """What whoever answers is given; `rest` is the path as the deployment's model server has it."""

    gateway: Gateway
    exchange: Exchange
    deployment_id: str = ""
    rest: str = ""


Answer = Callable[[Visit], Awaitable[None]]
