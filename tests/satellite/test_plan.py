"""What has to be done, decided without doing anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from satellite.deployments import Bounds, Deployment, Revision, Target, parse_deployment
from satellite.gateway.stats import Summary
from satellite.health import Health
from satellite.judging import verdict
from satellite.plan import Plan, Replica, Served, plan
from satellite.runtimes.interface import Observed


def target(revision: str, weight: int = 100, *, replicas: int = 1, mirror: bool = False) -> Target:
    return Target(Revision(revision, "a", None, parameters={"replicas": replicas}), weight, mirror)


def deployment(*targets: Target, **changes: object) -> Deployment:
    values = {"id": "d", "desired": "running", "targets": targets or (target("new"),), "status": "pending"}
    return Deployment(**(values | changes))  # type: ignore[arg-type]


def replica(revision: str, phase: str = "running", health: str = "ready", index: int = 0) -> Replica:
    url = f"http://127.0.0.1:{index}" if phase == "running" else None
    seen = Observed(f"d.{revision}.{index}", "d", revision, "0" * 64, phase, url)  # type: ignore[arg-type]
    return Replica(seen, Health(health))  # type: ignore[arg-type]


def started(step: Plan) -> list[str]:
    return [one.key for one in step.start]


def served(step: Plan) -> list[tuple[str, int, bool]]:
    return [(one.replica.key, one.weight, one.mirror) for one in step.serve]


def test_what_is_missing_is_started() -> None:
    step = plan(deployment(target("new", replicas=2)), [])
    assert (step.outcome, started(step), step.serve) == ("progressing", ["d.new.0", "d.new.1"], ())


def test_what_has_ended_is_started_again() -> None:
    ended = replica("new", "exited", "silent")
    step = plan(deployment(), [ended])
    assert (step.outcome, started(step), step.failed) == ("progressing", ["d.new.0"], ended)


def test_what_loads_is_waited_for() -> None:
    assert plan(deployment(), [replica("new", health="loading")]) == Plan("progressing")


def test_what_is_ready_is_served_and_the_old_retired() -> None:
    new, old = replica("new"), replica("old")
    assert plan(deployment(), [old, new]) == Plan("active", serve=(Served(new),), retire=("d.old.0",))


def test_the_old_revision_serves_until_all_of_the_new_one_is_ready() -> None:
    old, dead = replica("old"), replica("older", "exited", "silent")
    new = [replica("new"), replica("new", health="loading", index=1)]
    step = plan(deployment(target("new", replicas=2)), [dead, old, *new])
    assert step == Plan("progressing", serve=(Served(old),), remove=("d.older.0",))


def test_the_old_revision_serves_when_the_new_one_fails() -> None:
    old, failed = replica("old"), replica("new", health="failed")
    assert plan(deployment(), [old, failed]) == Plan("failed", serve=(Served(old),), remove=("d.new.0",), failed=failed)


def test_of_several_replicas_those_that_are_left_serve_while_one_is_started_again() -> None:
    one, ended = replica("new"), replica("new", "exited", "silent", index=1)
    step = plan(deployment(target("new", replicas=2), status="active"), [one, ended])
    assert (step.outcome, started(step), served(step)) == ("progressing", ["d.new.1"], [("d.new.0", 100, False)])


def test_fewer_replicas_are_served_before_the_others_retire() -> None:
    step = plan(deployment(), [replica("new", index=index) for index in range(3)])
    assert (served(step), step.retire) == ([("d.new.0", 100, False)], ("d.new.1", "d.new.2"))


def test_a_canary_gets_its_share_and_a_mirror_its_copies_once_they_are_ready() -> None:
    wanted = deployment(target("old", 95, replicas=2), target("new", 5), target("shadow", 0, mirror=True))
    old = [replica("old"), replica("old", index=1)]
    step = plan(wanted, [*old, replica("new", health="loading"), replica("shadow")])
    assert step.outcome == "progressing"
    assert served(step) == [("d.old.0", 95, False), ("d.old.1", 95, False), ("d.shadow.0", 0, True)]
    step = plan(wanted, [*old, replica("new"), replica("shadow")])
    assert step.outcome == "active"
    assert served(step) == [
        ("d.old.0", 95, False), ("d.old.1", 95, False), ("d.new.0", 5, False), ("d.shadow.0", 0, True),
    ]  # fmt: skip


def test_a_canary_without_a_share_is_kept_ready_and_not_asked() -> None:
    step = plan(deployment(target("old"), target("new", 0)), [replica("old"), replica("new")])
    assert (step.outcome, served(step), step.retire) == ("active", [("d.old.0", 100, False)], ())


def test_a_canary_that_fails_leaves_the_rest_serving() -> None:
    step = plan(deployment(target("old", 95), target("new", 5)), [replica("old"), replica("new", health="failed")])
    assert (step.outcome, served(step), step.remove) == ("failed", [("d.old.0", 95, False)], ("d.new.0",))


def test_an_active_deployment_that_falls_silent_is_not_responding() -> None:
    silent = replica("new", health="silent")
    assert plan(deployment(status="active"), [silent]) == Plan("not_responding", serve=(Served(silent),))
    assert plan(deployment(status="pending"), [silent]) == Plan("progressing")
    assert plan(deployment(status="not_responding"), [replica("new")]).outcome == "active"


@pytest.mark.parametrize("wanted", [None, deployment(desired="stopped"), deployment(desired="deleted")])
def test_what_is_not_wanted_is_removed(wanted: Deployment | None) -> None:
    assert plan(wanted, [replica("new"), replica("old")]) == Plan("absent", remove=("d.new.0", "d.old.0"))


def test_a_plain_contract_deployment_is_understood() -> None:
    raw = {"id": "d", "artifact_id": "a", "status": "pending", "env_variables": {"A": "1"}}
    first, second = parse_deployment(raw), parse_deployment(raw | {"env_variables": {"A": "2"}})
    (only,), (other,) = first.targets, second.targets
    assert (first.desired, first.generation, only.weight, only.revision.artifact_id) == ("running", None, 100, "a")
    assert only.revision.id != other.revision.id
    assert parse_deployment(raw | {"status": "deletion_pending"}).desired == "deleted"


def test_targets_are_revisions_with_a_part_each() -> None:
    old, new = ({"id": name, "artifact_id": name, "digest": None, "parameters": {"replicas": 2}} for name in "ab")
    raw = {"id": "d", "artifact_id": "b", "revision": new}
    raw["targets"] = [{"revision": old, "weight": 100}, {"revision": new, "weight": 0, "mirror": True}]
    first, second = parse_deployment(raw).targets
    assert (first.revision.artifact_id, first.weight, first.mirror, first.replicas) == ("a", 100, False, 2)
    assert (second.revision.artifact_id, second.weight, second.mirror) == ("b", 0, True)
    restarted = parse_deployment(raw | {"restarts": 1}).targets[0]
    assert restarted.revision.id != first.revision.id


def standby(revision: str) -> Target:
    return replace(target(revision, 0), standby=True)


def test_the_revision_before_serves_as_a_standby_until_the_new_one_is_ready() -> None:
    wanted = deployment(standby("old"), target("new"))
    step = plan(wanted, [replica("old"), replica("new", health="loading")])
    assert (step.outcome, served(step), step.remove) == ("progressing", [("d.old.0", 100, False)], ())
    step = plan(wanted, [replica("old"), replica("new")])
    assert (step.outcome, served(step), step.retire) == ("active", [("d.new.0", 100, False)], ())


def test_a_standby_that_ended_is_started_again_and_keeps_nobody_waiting() -> None:
    wanted = deployment(standby("old"), target("new"))
    step = plan(wanted, [replica("old", "exited", "silent"), replica("new")])
    assert (step.outcome, started(step), served(step)) == ("active", ["d.old.0"], [("d.new.0", 100, False)])
    step = plan(wanted, [replica("old", "exited", "silent"), replica("new", health="loading")])
    assert (step.outcome, started(step), step.failed) == ("progressing", ["d.old.0"], None)


def test_a_revision_that_has_served_yields_to_its_standby_only_when_nothing_of_it_is_left() -> None:
    has_served = {"status": "active", "generation": 2, "observed_generation": 2}
    wanted = deployment(standby("old"), target("new", replicas=2), **has_served)
    one_left = [replica("old"), replica("new"), replica("new", "exited", "silent", index=1)]
    assert served(plan(wanted, one_left)) == [("d.new.0", 100, False)]
    none_left = [replica("old"), replica("new", "exited", "silent"), replica("new", "exited", "silent", index=1)]
    assert served(plan(wanted, none_left)) == [("d.old.0", 100, False)]


def test_a_revision_that_has_failed_gets_nothing_though_what_was_before_it_serves() -> None:
    told = {"status": "active", "generation": 2, "observed_generation": 2, "error_message": {"reason": "no memory"}}
    wanted = deployment(standby("old"), target("new", replicas=2), **told)
    one_left = [replica("old"), replica("new"), replica("new", "exited", "silent", index=1)]
    assert served(plan(wanted, one_left)) == [("d.old.0", 100, False)]


def test_replicas_that_are_replaced_keep_their_shares_meanwhile() -> None:
    wanted = deployment(target("old2", 95), target("new2", 5))
    there = [replica("old"), replica("new")]
    step = plan(wanted, there, {"d.old.0": (95, False), "d.new.0": (5, False)})
    assert served(step) == [("d.old.0", 95, False), ("d.new.0", 5, False)]


def test_a_revision_that_is_taken_back_leaves_the_one_before() -> None:
    back = deployment(target("old", 95), target("new", 5)).taken_back()
    step = plan(back, [replica("old"), replica("new")])
    assert (step.outcome, served(step), step.retire) == ("active", [("d.old.0", 100, False)], ("d.new.0",))


@pytest.mark.parametrize(
    ("bounds", "seen", "reason"),
    [
        (Bounds(error_rate=0.1), Summary(requests=19, errors=19), None),
        (Bounds(error_rate=0.1), Summary(requests=20, errors=2), None),
        (Bounds(error_rate=0.1), Summary(requests=20, errors=3), "Too many requests failed"),
        (Bounds(error_rate=0.0), Summary(requests=20, errors=1), "Too many requests failed"),
        (Bounds(p95_seconds=0.5), Summary(requests=20, errors=20, p95=0.5), None),
        (Bounds(p95_seconds=0.5, min_requests=1), Summary(requests=1, p95=0.51), "The answers took too long"),
    ],
)
def test_a_revision_is_judged_by_its_bounds(bounds: Bounds, seen: Summary, reason: str | None) -> None:
    told = verdict(bounds, seen)
    assert (told and told[0]) == reason
