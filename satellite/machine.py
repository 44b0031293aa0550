"""What the machine, or the engine's part of it, has to give to models."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

NVIDIA = Path("/proc/driver/nvidia/gpus")
NO_GPU = "this satellite has no GPU that models could use"
ALL_GPUS = "this satellite has no more"


@dataclass(frozen=True)
class Machine:
    """Memory in bytes, processors, GPUs that models can use."""

    memory: int
    cpus: int
    gpus: int = 0

    @property
    def gpus_said(self) -> str:
        """Why there may not be more GPUs."""
        return ALL_GPUS if self.gpus else NO_GPU


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(psutil.virtual_memory().total, usable_cpus(), count_gpus())


def usable_cpus() -> int:
    """The processors that this process may use."""
    with contextlib.suppress(AttributeError):  # macOS has no such question
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_gpus(folder: Path = NVIDIA) -> int:
    """The GPUs that NVIDIA's driver drives."""
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0
