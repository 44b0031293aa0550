"""What has to be done, decided without doing anything."""

from __future__ import annotations

import pytest

from satellite.deployments import Deployment, Revision, parse_deployment
from satellite.health import Health
from satellite.plan import Plan, Replica, plan
from satellite.runtimes.interface import Observed


def deployment(**changes: object) -> Deployment:
    values = {"id": "d", "desired": "running", "revision": Revision("new", "a", None), "status": "pending"}
    return Deployment(**(values | changes))  # type: ignore[arg-type]


def replica(revision: str, phase: str = "running", health: str = "ready") -> Replica:
    url = "http://127.0.0.1:1" if phase == "running" else None
    seen = Observed(f"d.{revision}", "d", revision, "0" * 64, phase, url)  # type: ignore[arg-type]
    return Replica(seen, Health(health))  # type: ignore[arg-type]


def test_what_is_missing_is_started() -> None:
    assert plan(deployment(), []) == Plan("progressing", start=True)


def test_what_has_ended_is_started_again() -> None:
    ended = replica("new", "exited", "silent")
    assert plan(deployment(), [ended]) == Plan("progressing", start=True, failed=ended)


def test_what_loads_is_waited_for() -> None:
    assert plan(deployment(), [replica("new", health="loading")]) == Plan("progressing")


def test_what_is_ready_is_served_and_the_old_retired() -> None:
    new, old = replica("new"), replica("old")
    assert plan(deployment(), [old, new]) == Plan("active", serve=new, retire=("d.old",))


def test_the_old_revision_serves_until_the_new_one_is_ready() -> None:
    old, dead = replica("old"), replica("older", "exited", "silent")
    assert plan(deployment(), [dead, old, replica("new", health="loading")]) == Plan(
        "progressing", serve=old, remove=("d.older",)
    )


def test_the_old_revision_serves_when_the_new_one_fails() -> None:
    old, failed = replica("old"), replica("new", health="failed")
    assert plan(deployment(), [old, failed]) == Plan("failed", serve=old, remove=("d.new",), failed=failed)


def test_an_active_deployment_that_falls_silent_is_not_responding() -> None:
    silent = replica("new", health="silent")
    assert plan(deployment(status="active"), [silent]) == Plan("not_responding", serve=silent)
    assert plan(deployment(status="pending"), [silent]) == Plan("progressing")
    assert plan(deployment(status="not_responding"), [replica("new")]).outcome == "active"


@pytest.mark.parametrize("wanted", [None, deployment(desired="stopped"), deployment(desired="deleted")])
def test_what_is_not_wanted_is_removed(wanted: Deployment | None) -> None:
    assert plan(wanted, [replica("new"), replica("old")]) == Plan("absent", remove=("d.new", "d.old"))


def test_a_plain_contract_deployment_is_understood() -> None:
    raw = {"id": "d", "artifact_id": "a", "status": "pending", "env_variables": {"A": "1"}}
    first, second = parse_deployment(raw), parse_deployment(raw | {"env_variables": {"A": "2"}})
    assert (first.desired, first.generation, first.revision.artifact_id) == ("running", None, "a")
    assert first.revision.id != second.revision.id
    assert parse_deployment(raw | {"status": "deletion_pending"}).desired == "deleted"
