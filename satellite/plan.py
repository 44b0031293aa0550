"""What has to be done for one deployment, decided from what is desired and what was seen. Nothing is done here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from satellite.deployments import Deployment, Target
from satellite.health import Health
from satellite.runtimes.interface import Observed, replica_key

Outcome = Literal["progressing", "active", "failed", "not_responding", "absent"]
Share = tuple[int, bool]
"""Percent of the requests, and whether it is copies of all of them instead."""


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


def plan(deployment: Deployment | None, replicas: list[Replica], before: Mapping[str, Share] | None = None) -> Plan:
    """Decide for one deployment; None stands for one that the platform does not know (any more).

    `before` says which part each replica, by its key, has had in serving. What served before goes on until everything
    that is wanted is ready, also when something of it fails; a standby need not be ready for that.
    """
    if deployment is None or deployment.desired != "running":
        return Plan("absent", remove=tuple(replica.key for replica in replicas))
    state = _state(deployment, replicas, before or {})
    if not state.missing and all(replica.ready for _, replica in state.present):
        return _all_ready(state)
    return _on_the_way(deployment, state)


@dataclass(frozen=True)
class _State:
    """What is wanted beside what is there. `missing` is to be started; a `present` replica runs, but for the broken."""

    present: list[tuple[Wanted, Replica]]
    missing: tuple[Wanted, ...]
    standby: list[tuple[Wanted, Replica]]
    standby_missing: tuple[Wanted, ...]
    ended: Replica | None
    others: list[Replica]
    before: Mapping[str, Share]


def _state(deployment: Deployment, replicas: list[Replica], before: Mapping[str, Share]) -> _State:
    wanted = wanted_replicas(deployment)
    found = {replica.key: replica for replica in replicas}
    running = [(one, found[one.key]) for one in wanted if one.key in found and not found[one.key].ended]
    missing = [one for one in wanted if one.key not in found or found[one.key].ended]
    ended = [found[one.key] for one in missing if one.key in found and not one.target.standby]
    return _State(
        present=[pair for pair in running if not pair[0].target.standby],
        missing=tuple(one for one in missing if not one.target.standby),
        standby=[pair for pair in running if pair[0].target.standby],
        standby_missing=tuple(one for one in missing if one.target.standby),
        ended=ended[0] if ended else None,
        others=[replica for replica in replicas if replica.key not in {one.key for one in wanted}],
        before=before,
    )


def _all_ready(state: _State) -> Plan:
    """All that is to serve can; a standby is still looked after, for it is the way back."""
    return Plan(
        "active",
        start=state.standby_missing,
        serve=_served(state.present),
        retire=tuple(replica.key for replica in state.others),
        remove=tuple(replica.key for _, replica in state.standby if replica.health.state == "failed"),
    )


def _on_the_way(deployment: Deployment, state: _State) -> Plan:
    """Not all that is wanted is ready: what can serve meanwhile, and what is to be done next."""
    serve = _meanwhile(deployment, state)
    gone_bad = [replica for replica in state.others if replica.ended or replica.health.state == "failed"]
    gone_bad += [replica for _, replica in state.standby if replica.health.state == "failed"]
    dead = tuple(replica.key for replica in gone_bad)
    if missing := state.missing + state.standby_missing:
        return Plan("progressing", start=missing, serve=serve, remove=dead, failed=state.ended)
    broken = next((replica for _, replica in state.present if replica.health.state == "failed"), None)
    if broken:
        return Plan("failed", serve=serve, remove=(*dead, broken.key), failed=broken)
    if all(replica.silent for _, replica in state.present) and deployment.status in {"active", "not_responding"}:
        return Plan("not_responding", serve=serve or _served(state.present), remove=dead)
    return Plan("progressing", serve=serve, remove=dead)


def _meanwhile(deployment: Deployment, state: _State) -> tuple[Served, ...]:
    """What serves until all is ready. A revision that has shown that it can serve is not sent away for one replica that
    is missing; one that has not yet gets nothing before all of it is ready.
    """
    ready = _served(pair for pair in state.present if pair[1].ready)
    old = tuple(Served(one, *state.before.get(one.key, (100, False))) for one in state.others if one.ready)
    standby = tuple(Served(replica) for _, replica in state.standby if replica.ready)
    if deployment.has_served:
        return ready or standby or old
    return standby or old or ready


def _served(replicas: Iterable[tuple[Wanted, Replica]]) -> tuple[Served, ...]:
    """The replicas that take part in serving: with a share of the requests, or with copies of them."""
    return tuple(
        Served(replica, one.target.weight, one.target.mirror)
        for one, replica in replicas
        if one.target.weight or one.target.mirror
    )
