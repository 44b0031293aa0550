"""What every runtime can do. The satellite's logic knows nothing else of where models run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from satellite.environments import EnvironmentSpec
from satellite.settings import Limits

Phase = Literal["starting", "running", "exited"]


class RuntimeFailure(Exception):  # noqa: N818
    """A replica cannot be started: a reason in a few words, and the lines that show why."""

    def __init__(self, reason: str, error: str = "") -> None:
        super().__init__(f"{reason}: {error}" if error else reason)
        self.reason = reason
        self.error = error


class Unknown(Exception):  # noqa: N818
    """The runtime cannot say what is running at the moment. That is never the same as: nothing is running."""


def replica_key(deployment_id: str, revision_id: str, index: int) -> str:
    """The name of a replica on this machine."""
    return f"{deployment_id}.{revision_id}.{index}"


@dataclass(frozen=True)
class ReplicaSpec:
    """The `index`-th replica of one revision. `model` is the folder of the unpacked model, `digest` its sha256."""

    deployment_id: str
    revision_id: str
    model: Path
    digest: str
    environment: EnvironmentSpec
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    attributes: dict[str, str] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=Limits)
    index: int = 0

    @property
    def key(self) -> str:
        """The name of the replica on this machine."""
        return replica_key(self.deployment_id, self.revision_id, self.index)


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


class Runtime(Protocol):
    """Runs replicas. Every method may be called from several threads, for different keys at once."""

    name: str

    def available(self) -> tuple[bool, str]:
        """Whether replicas can be started here, and the one sentence why or why not."""
        ...

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Start the replica unless it runs; building its environment may take minutes. Raises RuntimeFailure."""
        ...

    def ensure_absent(self, key: str) -> None:
        """Stop the replica and remove everything of it; fine when there is none. Raises Unknown."""
        ...

    def observe(self) -> list[Observed]:
        """All replicas of this satellite, also those that an earlier run of it has left. Raises Unknown."""
        ...

    def logs(self, key: str, lines: int) -> str:
        """The last lines that the replica printed; empty when there is none."""
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
