"""What a process may use of its machine, set from outside just after its start; all that it starts inherits it.

Limits of the system, not a wall: a group of control groups would bound a model and its children together, and is what
containers are for.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import zlib

from satellite.settings import Limits

if sys.platform == "linux":
    import resource


def confine(pid: int, limits: Limits, name: str) -> None:
    """Bound a process of this user; `name` decides on which of the processors it runs.

    A process that has ended already needs no bounds, and a system that has none (macOS) sets none.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, processors(limits.cpus, name, os.sched_getaffinity(0)))
        # Memory that it may write to: the address space as a whole says little, and numerical libraries reserve much.
        resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory, limits.memory))


def processors(count: float, name: str, usable: set[int]) -> set[int]:
    """So many of the usable processors, rounded up; others for another name, so that models do not share one."""
    ordered = sorted(usable)
    first = zlib.crc32(name.encode()) % len(ordered)
    return {(ordered * 2)[first + step] for step in range(min(math.ceil(count), len(ordered)))}
