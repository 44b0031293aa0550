"""What has to be done for one deployment: desired state and observed replicas in, actions out. No side effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from satellite.deployments import Deployment
from satellite.health import Health
from satellite.runtimes.interface import Observed

Outcome = Literal["active", "progressing", "failed", "not_responding", "absent"]


@dataclass(frozen=True)
class Replica:
    """A replica as the runtime sees it, and as it says of itself."""

    observed: Observed
    health: Health

    @property
    def key(self) -> str:
        """The name of the replica."""
        return self.observed.key

    @property
    def ready(self) -> bool:
        """Whether it can take requests."""
        return self.observed.phase == "running" and self.health.state == "ready"


@dataclass(frozen=True)
class Plan:
    """Actions in the order in which they are done, and what the deployment is if they succeed.

    `start`: start the desired revision. `serve`: send requests to this replica. `retire`: stop these once nothing is
    in hand for them. `remove`: stop these at once. `failed`: the replica of the desired revision that cannot serve.
    """

    outcome: Outcome
    start: bool = False
    serve: Replica | None = None
    retire: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    failed: Replica | None = None


def replica_key(deployment: Deployment) -> str:
    """The name of the replica that serves the desired revision."""
    return f"{deployment.id}.{deployment.revision.id}"


def plan(deployment: Deployment | None, replicas: list[Replica]) -> Plan:
    """Decide for one deployment; None stands for one that the platform does not know (any more).

    The old revision keeps serving until the new one is ready, also when the new one fails.
    """
    if deployment is None or deployment.desired != "running":
        return Plan("absent", remove=tuple(replica.key for replica in replicas))
    key = replica_key(deployment)
    current = next((replica for replica in replicas if replica.key == key), None)
    others = [replica for replica in replicas if replica.key != key]
    if current and current.ready:
        return Plan("active", serve=current, retire=tuple(replica.key for replica in others))
    fallback = next((replica for replica in others if replica.ready), None)
    dead = tuple(replica.key for replica in others if replica is not fallback)
    if current is None or current.observed.phase == "exited":
        return Plan("progressing", start=True, serve=fallback, remove=dead, failed=current)
    if current.health.state == "failed":
        return Plan("failed", serve=fallback, remove=(*dead, key), failed=current)
    silent = current.health.state == "silent" and current.observed.phase == "running"
    if silent and deployment.status in {"active", "not_responding"}:
        return Plan("not_responding", serve=fallback or current, remove=dead)
    return Plan("progressing", serve=fallback, remove=dead)
