"""What a deployment may say of how this satellite serves it: one table, for the form, the check and the meaning.

The form (`extra_fields_form_spec`) goes to the platform when the satellite pairs; the platform refuses what does not
fit it. The same table reads the parameters of a revision, for a platform that checks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from satellite.deployments import MOST_REPLICAS
from satellite.machine import Machine
from satellite.settings import MIB, Limits, Settings

HOUR = 3600
MOST_WAITING = 10_000
MOST_WORKERS = 64


class BadParameter(Exception):  # noqa: N818
    """A parameter that does not fit; the message names it and says what would."""


@dataclass(frozen=True)
class Parameter:
    """One row of the table: a number between `least` and `most` (`bound_by` says why), a `whole` one mostly."""

    name: str
    default: float
    meaning: str
    least: float
    most: float
    whole: bool = True
    bound_by: str = ""

    def form(self) -> dict[str, Any]:
        """The field of the form, as the contract has it; beside its keys, `whole`, `default` and `description`."""
        return {
            "name": self.name,
            "type": "number",
            "values": None,
            "required": False,
            "validators": self.validators(),
            "conditions": [],
            "whole": self.whole,
            "default": plain(self.default),
            "description": self.meaning,
        }

    def validators(self) -> list[dict[str, Any]]:
        """The bounds as the contract's validators, each with the sentence that is shown when it does not hold."""
        bounds = (("min", self.least, self.too_small()), ("max", self.most, self.too_large()))
        return [
            {"type": kind, "value": plain(bound), "message": f"{self.name} {words}."} for kind, bound, words in bounds
        ]

    def too_small(self) -> str:
        """What is said of a smaller number."""
        return f"must be at least {plain(self.least)}"

    def too_large(self) -> str:
        """What is said of a larger number."""
        return f"may be at most {plain(self.most)}" + (f": {self.bound_by}" if self.bound_by else "")

    def read(self, given: Any) -> float:
        """The value that was meant. The contract has no fractions, so it may come as text. Raises BadParameter."""
        try:
            value = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value) or (self.whole and value != int(value)):
            raise BadParameter(f"{self.name} is {given!r}; it must be a {'whole ' if self.whole else ''}number")
        if value < self.least:
            raise BadParameter(f"{self.name} is {given}; it {self.too_small()}")
        if value > self.most:
            raise BadParameter(f"{self.name} is {given}; it {self.too_large()}")
        return int(value) if self.whole else value


@dataclass(frozen=True)
class Serving:
    """How one revision is served. Times in seconds unless named otherwise; `idle_seconds` 0 never lets it sleep."""

    replicas: int
    limits: Limits
    workers: int
    concurrency: int
    queue: int
    request_seconds: float
    ready_seconds: float
    idle_seconds: int
    batch_rows: int
    batch_delay_ms: int
    monitoring: float


def table(settings: Settings, machine: Machine) -> tuple[Parameter, ...]:
    """Every parameter of this satellite: defaults from its settings, bounds from its machine."""
    memory = machine.memory // MIB
    return (
        Parameter("replicas", 1, "Model servers beside each other.", 1, MOST_REPLICAS),
        Parameter("workers", 1, "Processes of each replica, each with the model in its memory.", 1, MOST_WORKERS),
        Parameter("cpus", min(settings.limits.cpus, machine.cpus), 'Processors of each replica; fractions as '
                  'text, "0.5".', 0.05, machine.cpus, whole=False, bound_by="the satellite's machine has no more"),
        Parameter("memory_mib", min(settings.limits.memory // MIB, memory), "Memory of each replica in MiB.",
                  64, memory, bound_by="the satellite's machine has no more"),
        Parameter("gpus", 0, "GPUs of each replica.", 0, machine.gpus, bound_by=machine.gpus_said),
        Parameter("concurrency", settings.concurrency, "Requests that are computed at once.", 1, MOST_WAITING),
        Parameter("queue", settings.queue_limit, "Requests that may wait for their turn; further ones are "
                  "answered 429.", 0, MOST_WAITING),
        Parameter("request_seconds", settings.request_seconds, "How long a request may take.", 0.1, HOUR,
                  whole=False),
        Parameter("ready_seconds", settings.ready_seconds, "How long the model may take to start.", 1,
                  24 * HOUR, whole=False),
        Parameter("idle_seconds", 0, "After so many seconds without a request the replicas are stopped, and "
                  "started by the next one; 0: never.", 0, 30 * 24 * HOUR),
        Parameter("batch_rows", 1024, "How many rows of waiting requests are computed together; 1: each for itself.",
                  1, 1_000_000),
        Parameter("batch_delay_ms", 0, "How many milliseconds a request waits for others to be computed with it.",
                  0, 1000),
        Parameter("monitoring", 0, "Percent of the requests that are recorded with what was asked and answered.",
                  0, 100, whole=False),
    )  # fmt: skip


def read(rows: tuple[Parameter, ...], given: Mapping[str, Any], pids: int) -> Serving:
    """How a revision with these parameters is served; names that are not in the table are nobody's business here.

    `pids` is how many processes and threads each worker may have. Raises BadParameter.
    """
    values: dict[str, Any] = {
        row.name: row.default if given.get(row.name) is None else row.read(given[row.name]) for row in rows
    }
    limits = Limits(
        memory=int(values.pop("memory_mib")) * MIB,
        cpus=values.pop("cpus"),
        gpus=values.pop("gpus"),
        pids=pids * values["workers"],
    )
    return Serving(limits=limits, **values)


def plain(number: float) -> float | int:
    """Whole numbers without a point."""
    return int(number) if number == int(number) else number
