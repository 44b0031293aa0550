"""What a satellite asks of the platform, and how the answers may fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from satellite.deployments import Deployment


class PlatformError(Exception):
    """The platform refused: `status` is its HTTP status, the message its `detail`."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{detail} ({status})")
        self.status = status


class PlatformAway(Exception):  # noqa: N818
    """The platform did not answer, or answered that it cannot at the moment. Trying again later is right."""


class Conflict(PlatformError):  # noqa: N818
    """Someone else has it: a task taken by another worker, a lease that was lost, a generation that moved on."""


class Gone(PlatformError):  # noqa: N818
    """There is no such thing (any more)."""


class SecretMissing(PlatformError):  # noqa: N818
    """A secret that a deployment refers to is not there (any more)."""


class BucketRefused(PlatformError):  # noqa: N818
    """The bucket does not give a file; its own address for it was asked for just before."""


class BucketAway(PlatformAway):
    """The bucket does not answer, or broke off."""


class Unauthorized(PlatformError):  # noqa: N818
    """The key of this satellite is not (or no longer) good."""


@dataclass(frozen=True)
class Task:
    """One job: `deploy` or `undeploy` of one deployment. `lease_token` comes with the claim, where leases are known."""

    id: str
    type: str
    deployment_id: str
    lease_token: str | None = None


@dataclass(frozen=True)
class ArtifactSource:
    """Where the bytes of an artifact are, and their sha256 in hex."""

    url: str
    digest: str
    size: int | None = None


class Platform(Protocol):
    """The platform as a satellite sees it.

    Every call may raise PlatformAway, Unauthorized or PlatformError; Gone where an id is given; Conflict where named.
    """

    def pair(self, base_url: str, capabilities: dict[str, Any], slug: str | None) -> str:
        """Announce this satellite; returns its id."""
        ...

    def tasks(self, status: str, wait: float) -> list[Task]:
        """Tasks in a status; a platform that can hold the answer back does so for up to `wait` seconds."""
        ...

    def claim(self, task_id: str, lease_seconds: float) -> Task:
        """Take a task; raises Conflict when somebody else has it."""
        ...

    def renew(self, task: Task, lease_seconds: float) -> None:
        """Keep a task; raises Conflict when the lease is lost."""
        ...

    def finish(self, task: Task, status: str, result: dict[str, Any] | None) -> None:
        """End a task as `done` or `failed`; raises Conflict when the lease is lost."""
        ...

    def deployments(self) -> list[Deployment]:
        """All deployments of this satellite, those to be deleted included."""
        ...

    def deployment(self, deployment_id: str) -> Deployment:
        """One deployment."""
        ...

    def update_deployment(self, deployment_id: str, changes: dict[str, Any], generation: int | None) -> None:
        """Report what is observed; raises Conflict when what is desired has changed since `generation`."""
        ...

    def roll_back(self, deployment_id: str, generation: int, reason: str, error: str) -> None:
        """Take the newest revision of a rollout back; raises Conflict when something else is desired meanwhile."""
        ...

    def delete_deployment(self, deployment_id: str) -> None:
        """Confirm that nothing is left of a deployment that was to be deleted."""
        ...

    def artifact(self, artifact_id: str) -> ArtifactSource:
        """Where to download an artifact from."""
        ...

    def secret(self, secret_id: str) -> str:
        """The value of a secret that a deployment of this satellite refers to."""
        ...

    def inference_access(self, api_key: str) -> bool:
        """Whether an API key may call the models of this satellite."""
        ...

    def download(self, url: str) -> Any:
        """A context manager that gives an iterator of the bytes at `url`."""
        ...
