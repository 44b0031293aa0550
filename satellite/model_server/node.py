"""How a replica starts on a node of a swarm, where the satellite's folders are not: it fetches what it needs first.

`node <what to fetch> -- <command>` runs as the container's root, which has no power but to become somebody else. It
fills the node's volume from the satellite, leaves a child behind that keeps the dynamic attributes fresh, and becomes
the command, as the user that models run as: nothing that a model does reaches the volume, or what was handed over.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .depot import Depot, DepotAway, DepotRefused
from .files import write_whole
from .handover import ATTRIBUTES, DOOR, ENVIRONMENT
from .settings import NodeSettings, node_arguments
from .volume import Volume

HANDED = Path("/handed/handover.json")
HANDOVER = Path("/run/handover")
ENVIRONMENTS = Path("/environments")
VOLUME = Path("/volume")
USER = 10001
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
NO_NEW_PRIVILEGES = 38


def start(argv: list[str]) -> int:
    """Fetch, hand over, become the command. Returns only when that cannot be done."""
    settings = node_arguments(argv)
    handed = json.loads(HANDED.read_bytes())
    depot = Depot(settings.source, settings.replica, handed["token"], handed["certificate"])
    volume = Volume(VOLUME, settings.volume_bytes)
    try:
        fetch(settings, depot, volume)
    except DepotRefused as error:
        print(error, file=sys.stderr)
        return 1
    hand_over(handed)
    if os.fork() == 0:
        follow_attributes(depot)
    become_the_model(settings.command)
    return 1


def fetch(settings: NodeSettings, depot: Depot, volume: Volume) -> None:
    """Have the model, and its environment where the image is not enough, on this node. Raises DepotRefused."""
    model = volume.hold(settings.model, lambda path: patiently(depot, settings.model, path))
    link(Path("/run/model"), model)
    if settings.environment:
        folder = volume.hold(settings.environment, lambda path: patiently(depot, settings.environment, path))
        # Programs of an environment name their interpreter by the path that it was built at.
        link(ENVIRONMENTS / settings.environment_key, folder)


def link(name: Path, target: Path) -> None:
    """Have something under another name."""
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def patiently(depot: Depot, parcel: str, path: Path) -> None:
    """Fetch one parcel, however long the satellite is away: it may be starting anew itself."""
    pause = FIRST_PAUSE
    while True:
        try:
            depot.fetch(parcel, path)
            return
        except DepotAway as error:
            print(f"The satellite does not give the model's files ({error}); asking again", file=sys.stderr)
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


def hand_over(handed: Mapping[str, object]) -> None:
    """Put the secrets where the model server looks for them: in memory, for it to read and nobody to change."""
    HANDOVER.mkdir(exist_ok=True)
    for name, content in ((ENVIRONMENT, handed["environment"]), (ATTRIBUTES, handed["attributes"])):
        write_whole(HANDOVER / name, json.dumps(content))
    write_whole(HANDOVER / DOOR, str(handed["door"]))


def follow_attributes(depot: Depot) -> None:
    """Write down whatever the dynamic attributes become, until the container ends."""
    seen = ""
    while True:
        try:
            seen, attributes = depot.attributes(seen)
            if attributes is not None:
                write_whole(HANDOVER / ATTRIBUTES, json.dumps(attributes))
        except (DepotAway, DepotRefused, OSError, ValueError, http.client.HTTPException):
            # Those that were good stay in use until the satellite is back.
            time.sleep(1)


def become_the_model(command: list[str]) -> None:
    """Give everything up that root may do, for ever, and run the command in place of this program."""
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    if ctypes.CDLL(None, use_errno=True).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "The kernel does not let a process give up privileges")
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
