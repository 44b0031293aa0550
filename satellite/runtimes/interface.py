"""What every runtime can do. The satellite's logic knows nothing else of where models run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from satellite.environments import EnvironmentSpec
from satellite.machine import Machine
from satellite.reasons import Ending, Reason
from satellite.settings import Limits

Phase = Literal["starting", "running", "exited"]
FROM_NOW = "now"
"""The position that leaves out everything a replica has printed so far."""


class RuntimeFailure(Exception):  # noqa: N818
    """A replica cannot be started: the reason, and the lines that show it."""

    def __init__(self, reason: Reason, error: str = "") -> None:
        super().__init__(f"{reason}: {error}" if error else str(reason))
        self.reason = reason
        self.error = error


class Unknown(Exception):  # noqa: N818
    """The runtime cannot say what is running at the moment. That is never the same as: nothing is running."""


def replica_key(deployment_id: str, revision_id: str, index: int) -> str:
    """The name of a replica on this machine."""
    return f"{deployment_id}.{revision_id}.{index}"


@dataclass(frozen=True)
class ReplicaSpec:
    """The `index`-th replica of one revision. `model` is the folder of the unpacked model, `digest` its sha256.

    `variables` may be seen by whoever may look at the machine; `secrets`, variables of the model too, and `attributes`
    reach the replica in files that nobody else sees. `workers` are processes of the model server, each with the model
    in its memory. A request is given up after `request_seconds` (0: never); up to `batch_rows` rows of several requests
    are computed together, and a request waits `batch_delay_ms` for others.
    """

    deployment_id: str
    revision_id: str
    model: Path
    digest: str
    environment: EnvironmentSpec
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    attributes: dict[str, str] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=Limits)
    index: int = 0
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    workers: int = 1
    request_seconds: float = 0.0
    batch_rows: int = 1024
    batch_delay_ms: int = 0

    @property
    def key(self) -> str:
        """The name of the replica on this machine."""
        return replica_key(self.deployment_id, self.revision_id, self.index)

    def arguments(self, model: str, handover: str) -> list[str]:
        """The model server's arguments for what it serves; both folders as the replica sees them."""
        options = [
            ("--workers", self.workers, 1),
            ("--request-seconds", self.request_seconds, 0.0),
            ("--batch-rows", self.batch_rows, 1024),
            ("--batch-delay-ms", self.batch_delay_ms, 0),
        ]
        words = [word for name, value, default in options if value != default for word in (name, str(value))]
        return ["--model", model, "--handover", handover, *words]


@dataclass(frozen=True)
class Observed:
    """A replica as it was found. `url` is where its model server answers, once that is known."""

    key: str
    deployment_id: str
    revision_id: str
    digest: str
    phase: Phase
    url: str | None = None
    environment_key: str = ""


@dataclass(frozen=True)
class Printed:
    """A line that a replica has printed, without its end; `position` is where its output goes on after it.

    `output` stands for both streams where they cannot be told apart.
    """

    time: datetime
    stream: Literal["stdout", "stderr", "output"]
    line: bytes
    position: str


class Runtime(Protocol):
    """Runs replicas. Every method may be called from several threads, for different keys at once."""

    name: str

    def available(self) -> tuple[bool, str]:
        """Whether replicas can be started here, and the one sentence why or why not."""
        ...

    def machine(self) -> Machine:
        """What there is to give to replicas. Raises Unknown."""
        ...

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Start the replica unless it runs; building its environment may take minutes. Raises RuntimeFailure."""
        ...

    def ensure_absent(self, key: str) -> None:
        """Stop the replica and remove everything of it; fine when there is none. Raises Unknown."""
        ...

    def remove_left_by(self, instance: str, deployment_id: str) -> None:
        """Stop the replicas of a deployment that another instance of this satellite has left where this one can reach
        them: on the same engine, or in the same swarm. Raises Unknown.
        """
        ...

    def observe(self) -> list[Observed]:
        """All replicas of this satellite, also those that an earlier run of it has left. Raises Unknown."""
        ...

    def logs(self, key: str, lines: int) -> str:
        """The last lines that the replica printed, without the secrets it was handed; empty when there is none."""
        ...

    def ending(self, key: str) -> Ending | None:
        """How the replica ended last, if it has ended and that is known. Raises Unknown."""
        ...

    def refresh_attributes(self, key: str, attributes: dict[str, str]) -> bool:
        """Have a running replica use these dynamic attributes within two seconds, without a restart.

        False when that cannot be done, because what it was handed is lost: it must be started anew.
        """
        ...

    def hide_secrets(self, key: str, text: str) -> str:
        """The text without the secrets that the replica was handed."""
        ...

    def printed(self, key: str, position: str, stopping: threading.Event) -> Iterator[list[Printed]]:
        """What the replica prints from `position` on (empty: everything that is there), in batches as it comes.

        Ends when the replica has ended or is removed, and soon after `stopping` is set. Raises Unknown.
        """
        ...

    def watch(self, wake: Callable[[], None]) -> None:
        """From now on call `wake`, from any thread, soon after a replica started or ended by itself."""
        ...

    def trim(self) -> None:
        """Forget environments that nothing has used for long. Raises Unknown."""
        ...

    def interrupt(self) -> None:
        """Start nothing any more (Unknown from now on), and end what takes long: building environments."""
        ...

    def close(self, stop_replicas: bool) -> None:
        """Let go of the runtime, with or without stopping what runs."""
        ...
