"""What has to be done for one deployment, decided from what is desired and what was seen. Nothing is done here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from satellite.deployments import Deployment, Target
from satellite.health import Health
from satellite.runtimes.interface import Observed, replica_key

Outcome = Literal["progressing", "active", "failed", "not_responding", "absent"]


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

    @property
    def ended(self) -> bool:
        """Whether it has to be started again."""
        return self.observed.phase == "exited"

    @property
    def silent(self) -> bool:
        """Whether it runs and does not answer."""
        return self.observed.phase == "running" and self.health.state == "silent"


@dataclass(frozen=True)
class Wanted:
    """A replica that there should be: the `index`-th of a target."""

    key: str
    target: Target
    index: int


@dataclass(frozen=True)
class Served:
    """A replica that gets requests, in the share of its revision (`weight`, percent), or copies of them (`mirror`)."""

    replica: Replica
    weight: int = 100
    mirror: bool = False


@dataclass(frozen=True)
class Plan:
    """Actions in the order in which they are done, and what the deployment is if they succeed.

    `start`: start these. `serve`: send requests to these. `retire`: stop these once nothing is in hand for them.
    `remove`: stop these at once. `failed`: a wanted replica that ended, or that cannot serve.
    """

    outcome: Outcome
    start: tuple[Wanted, ...] = ()
    serve: tuple[Served, ...] = ()
    retire: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    failed: Replica | None = None


def wanted_replicas(deployment: Deployment) -> list[Wanted]:
    """Every replica that the deployment should have."""
    return [
        Wanted(replica_key(deployment.id, target.revision.id, index), target, index)
        for target in deployment.targets
        for index in range(target.replicas)
    ]


def plan(deployment: Deployment | None, replicas: list[Replica]) -> Plan:
    """Decide for one deployment; None stands for one that the platform does not know (any more).

    What served before goes on until everything that is wanted is ready, also when something of it fails.
    """
    if deployment is None or deployment.desired != "running":
        return Plan("absent", remove=tuple(replica.key for replica in replicas))
    wanted = wanted_replicas(deployment)
    found = {replica.key: replica for replica in replicas}
    present = [(one, found[one.key]) for one in wanted if one.key in found]
    others = [replica for replica in replicas if replica.key not in {one.key for one in wanted}]
    if len(present) == len(wanted) and all(replica.ready for _, replica in present):
        return Plan("active", serve=_served(present), retire=tuple(replica.key for replica in others))
    return _on_the_way(deployment, wanted, present, others)


def _on_the_way(
    deployment: Deployment, wanted: list[Wanted], present: list[tuple[Wanted, Replica]], others: list[Replica]
) -> Plan:
    """Not all that is wanted is ready: what can serve meanwhile, and what is to be done next."""
    old = tuple(Served(replica) for replica in others if replica.ready)
    serve = old or _served((one, replica) for one, replica in present if replica.ready)
    dead = tuple(replica.key for replica in others if replica.ended or replica.health.state == "failed")
    gone = {one.key for one, replica in present if replica.ended}
    missing = tuple(one for one in wanted if one.key in gone or one.key not in {one.key for one, _ in present})
    if missing:
        ended = next((replica for _, replica in present if replica.ended), None)
        return Plan("progressing", start=missing, serve=serve, remove=dead, failed=ended)
    broken = next((replica for _, replica in present if replica.health.state == "failed"), None)
    if broken:
        return Plan("failed", serve=serve, remove=(*dead, broken.key), failed=broken)
    if all(replica.silent for _, replica in present) and deployment.status in {"active", "not_responding"}:
        silent = _served(present)
        return Plan("not_responding", serve=serve or silent, remove=dead)
    return Plan("progressing", serve=serve, remove=dead)


def _served(replicas: Iterable[tuple[Wanted, Replica]]) -> tuple[Served, ...]:
    """The replicas that take part in serving: with a share of the requests, or with copies of them."""
    return tuple(
        Served(replica, one.target.weight, one.target.mirror)
        for one, replica in replicas
        if one.target.weight or one.target.mirror
    )
