"""`kill -9` of every part at every step of a deployment's life, under fifty requests a second: time is all it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from luml_app.client.objects import ArtifactHandle, DeploymentHandle
from tests.chaos.house import SECONDS_TO_BE_RIGHT, Installation, installed
from tests.satellite.contract_server import until
from tests.satellite.engine import need_engine
from tests.satellite.load import Load, load

pytestmark = [pytest.mark.slow, pytest.mark.docker]

BODY = {"inputs": {"x": [1.0, 2.0]}}
VICTIMS = ("satellite", "gateway", "server", "postgres", "container")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("house"), "docker", need_engine()) as made:
        yield made
    assert made.containers() == [], "a satellite that is stopped leaves nothing over"


@pytest.fixture(scope="module")
def models(house: Installation) -> tuple[ArtifactHandle, ArtifactHandle]:
    return house.model("first"), house.model("second")


@pytest.fixture(scope="module")
def neighbour(house: Installation, models: Any) -> DeploymentHandle:
    """A deployment that nobody changes: whatever happens beside it, it answers."""
    handle: DeploymentHandle = models[0].deploy(name="neighbour").wait(120)
    return handle


def kill(house: Installation, victim: str, handle: DeploymentHandle, known: set[str]) -> None:
    """End a part with SIGKILL. Of containers the newest: that of the new revision, where there is one."""
    if victim != "container":
        getattr(house, f"kill_{victim}")()
        return
    there = house.containers(handle.data.id)
    for one in [one for one in there if one.id not in known] or there:
        one.kill()


@pytest.fixture
def callers(house: Installation, neighbour: DeploymentHandle) -> Callable[[DeploymentHandle | None, str], Any]:
    def call(handle: DeploymentHandle | None, victim: str) -> Any:
        target = handle or neighbour
        return load(target.url, house.cast.alice.api_key, BODY, repeat=victim == "gateway")

    return call


def claimed(house: Installation, handle: DeploymentHandle, **_: Any) -> bool:
    return any(one.state == "leased" for one in house.jobs(handle.data.id))


def started(house: Installation, handle: DeploymentHandle, known: set[str], **_: Any) -> bool:
    return any(one.id not in known for one in house.containers(handle.data.id))


def switched(calls: Load, seen: Any, **_: Any) -> bool:
    """The new revision answers; the one before is drained now."""
    return len(calls.since(seen)) > 1


def stopping(house: Installation, handle: DeploymentHandle, known: set[str], **_: Any) -> bool:
    there = {one.id for one in house.containers(handle.data.id) if one.status == "running"}
    return not known <= there


MOMENTS: dict[str, list[Callable[..., bool]]] = {
    "deploy": [claimed, started],
    "rollout": [claimed, started, switched],
    "rollback": [claimed, started, switched],
    "delete": [claimed, stopping],
}
CASES = [
    pytest.param(verb, moment, victim, id=f"{verb}-{moment.__name__}-{victim}")
    for verb, moments in MOMENTS.items()
    for moment in moments
    for victim in VICTIMS
    if not (victim == "container" and (moment is claimed or verb == "delete"))
]


def prepared(house: Installation, verb: str, models: Any) -> DeploymentHandle | None:
    """What the verb needs to be there before."""
    if verb == "deploy":
        return None
    handle: DeploymentHandle = models[0].deploy(name=verb).wait(120)
    if verb == "rollback":
        handle.update(models[1]).wait(120)
    until(lambda: house.is_right(handle), 60, "a quiet beginning")
    return handle


def do(verb: str, handle: DeploymentHandle | None, models: Any) -> DeploymentHandle:
    if handle is None:
        made: DeploymentHandle = models[0].deploy(name=verb)
        return made
    if verb == "rollout":
        handle.update(models[1])
    elif verb == "rollback":
        handle.rollback()
    else:
        handle.orbit.client.deployments.delete(*handle.ids)
    return handle


@pytest.mark.parametrize(("verb", "moment", "victim"), CASES)
def test_a_kill_costs_time_only(
    house: Installation, models: Any, callers: Any, verb: str, moment: Callable[..., bool], victim: str
) -> None:
    handle = prepared(house, verb, models)
    with callers(handle if verb in {"rollout", "rollback"} else None, victim) as calls:
        until(lambda: calls.count() > 10, 30, "the first answers")
        seen = calls.seen()
        known = {one.id for one in house.containers(handle.data.id)} if handle else set()
        handle = do(verb, handle, models)
        facts = {"house": house, "handle": handle, "known": known, "calls": calls, "seen": seen}
        until(lambda: moment(**facts), 60, f"the moment ({moment.__name__})")
        listens = not house.adopted
        kill(house, victim, handle, known)
        try:
            until(lambda: house.is_right(handle), SECONDS_TO_BE_RIGHT, "that all is right again")
        except AssertionError as error:
            pytest.fail(f"{error}: {house.state(handle)}")
        after = calls.count()
        until(lambda: calls.count() > after + 20, 30, "further answers")
    if victim == "container" and moment is switched:
        # It was the only one that served: callers wait for it, and some are told to come back.
        assert {fault[:3] for fault in calls.failures} <= {"503"}
    else:
        assert calls.failures == []
    assert not (listens and calls.refused), "callers wait in the socket that the satellite holds"
    assert len(house.gateways()) == 1
    if verb != "delete":
        handle.orbit.client.deployments.delete(*handle.ids)
        until(lambda: house.row(handle.data.id) is None and house.is_right(handle), 60, "the end")
