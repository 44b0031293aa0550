"""What the engine tells of containers, as replicas: pure functions of its answers."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from typing import Any

import psutil

from satellite.runtimes.containers import LABEL, PORT
from satellite.runtimes.interface import Observed, Phase

# The engine starts a crashed container again by itself, ever more slowly; until then it has ended, and we say so.
# One that was made and never started is what a satellite leaves that was killed in between; nobody else starts it.
PHASES: dict[str, Phase] = {
    "created": "exited",
    "running": "running", "paused": "running", "restarting": "exited", "exited": "exited", "dead": "exited",
}  # fmt: skip


def observed(raw: dict[str, Any], bridges: Collection[str] = ()) -> Observed:
    """A replica from the engine's list of containers; `bridges` are addresses behind which we reach them ourselves.

    A published port is served by a process that dies with the engine. What lives behind a bridge of this machine is
    therefore asked directly: it serves on while the engine is away.
    """
    labels = {name.removeprefix(LABEL): value for name, value in raw["Labels"].items()}
    url = next(direct(raw, bridges), None) or next(published(raw), None)
    return Observed(
        key=labels["key"],
        deployment_id=labels["deployment"],
        revision_id=labels["revision"],
        digest=labels["digest"],
        phase=PHASES.get(raw["State"], "starting") if url or raw["State"] != "running" else "starting",
        url=url,
        environment_key=labels.get("environment", ""),
    )


def direct(raw: dict[str, Any], bridges: Collection[str]) -> Iterator[str]:
    """Where a container is reached without the engine."""
    for network in (raw.get("NetworkSettings") or {}).get("Networks", {}).values():
        if network.get("IPAddress") and network.get("Gateway") in bridges:
            yield f"http://{network['IPAddress']}:{PORT.partition('/')[0]}"


def published(raw: dict[str, Any]) -> Iterator[str]:
    """Where a container is reached by a port of this machine."""
    for port in raw.get("Ports") or []:
        if f"{port['PrivatePort']}/{port['Type']}" == PORT and "PublicPort" in port:
            yield f"http://127.0.0.1:{port['PublicPort']}"


def shares_our_network(told: dict[str, Any]) -> bool:
    """Whether the bridges of an engine, from what it tells of itself, are this machine's: not those of a virtual
    machine, nor of a user's own network (rootless), which may have the same addresses.
    """
    rootless = any("name=rootless" in option for option in told.get("SecurityOptions") or [])
    return told.get("Name") == socket.gethostname() and not rootless


def our_addresses() -> set[str]:
    """The IPv4 addresses of this machine, its bridges' among them."""
    return {one.address for found in psutil.net_if_addrs().values() for one in found if one.family == socket.AF_INET}
