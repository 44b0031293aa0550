"""A deployment in the hands of people, a satellite, and the clock, in any order: the real one beside a model of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, select, update

from luml_app.core import tables as t
from luml_app.schemas.errors import Conflict, NotFound
from tests.api.deployment_model import Model, Plan, Refused, Revision
from tests.api.stage import Stage
from tests.api.test_rollouts import pass_time

HELD_SECONDS = 60
NEVER = {"reason": "no", "error": "memory"}
PLANS = st.sampled_from(
    [
        Plan(), Plan(weight=5), Plan(weight=0), Plan(mirror=True), Plan(steps=(100,), held=True),
        Plan(weight=5, steps=(5, 100)), Plan(weight=5, steps=(5, 25, 100), held=True), Plan(weight=10, steps=(10, 50)),
    ]
)  # fmt: skip


def sent(plan: Plan) -> dict[str, Any]:
    """The plan as people send it. Every step but a last one of 100 % is held."""
    last = len(plan.steps) - 1
    steps = [
        {"weight": one, "seconds": HELD_SECONDS if number < last or plan.held or one < 100 else 0}
        for number, one in enumerate(plan.steps)
    ]
    return {"weight": plan.weight, "mirror": plan.mirror, "steps": steps}


def machine(stage: Stage) -> type[RuleBasedStateMachine]:
    """The machine on one stage: each of its runs is about a deployment of its own."""
    here, satellite = stage.path(), stage.satellite.agent
    artifacts = [stage.ids["artifact_id"], stage.spare.id]
    track, secret = stage.path("track_id"), stage.path("orbit_secret_id")
    stages = [one.id for one in stage.alice.tracks.get(*track).stages]
    entries = [stage.ids["entry_id"], stage.alice.track_entries.create(*track, artifact_id=stage.spare.id).id]

    class Deployment(RuleBasedStateMachine):
        @initialize(at_start=st.booleans())
        def create(self, at_start: bool) -> None:
            stage.alice.track_entries.update(*track, entries[0], stage_id=stages[1], force=True)
            parts = {"satellite_id": stage.ids["satellite_id"], "artifact_id": artifacts[0]}
            secrets = {"RIDDLE": secret[-1]} if at_start else {}
            made = stage.alice.deployments.create(*here, name="One", **parts, env_variables_secrets=secrets)
            self.at_start = at_start
            self.id, self.where = made.id, (*here, made.id)
            self.model = Model({1: Revision(artifacts[0])})
            self.follows = self.attributes = self.confirmed = False
            self.reached = self.value = 0

        def teardown(self) -> None:
            with stage.house.database.write() as db:
                db.execute(delete(t.deployments).where(t.deployments.c.id == self.id))
                db.execute(delete(t.jobs))

        def agree(self, real: Callable[[], Any], model: Callable[[], None]) -> None:
            """Both do it, or both refuse."""
            try:
                model()
            except Refused:
                with pytest.raises((Conflict, NotFound)):
                    real()
            else:
                real()

        def jobs(self) -> list[Any]:
            with stage.house.database.read() as db:
                mine = t.jobs.c.dedupe_key == f"deployment:{self.id}"
                return list(db.execute(select(t.jobs).where(mine, t.jobs.c.state.in_(["queued", "leased"]))))

        # People.

        @rule(artifact=st.sampled_from(artifacts), plan=PLANS)
        def revise(self, artifact: Any, plan: Plan) -> None:
            body = {"artifact_id": artifact, "rollout": sent(plan)}
            self.agree(
                lambda: stage.alice.revisions.create(*self.where, **body), lambda: self.model.revise(artifact, plan)
            )

        @rule(
            weight=st.sampled_from([None, 0, 5, 50, 100]),
            mirror=st.sampled_from([None, True, False]),
            steps=st.sampled_from([None, (5, 100), (100,)]),
        )
        def shift(self, weight: int | None, mirror: bool | None, steps: tuple[int, ...] | None) -> None:
            body: dict[str, Any] = {"weight": weight, "mirror": mirror}
            if steps:
                body["steps"] = [{"weight": one, "seconds": HELD_SECONDS} for one in steps]
            body = {name: value for name, value in body.items() if value is not None}
            self.agree(
                lambda: stage.alice.rollouts.update(*self.where, **body),
                lambda: self.model.shift(weight, mirror, steps),
            )

        @rule()
        def roll_back(self) -> None:
            self.agree(lambda: stage.alice.rollouts.rollback(*self.where), self.model.roll_back)

        @rule(data=st.data())
        def roll_back_to(self, data: st.DataObject) -> None:
            number = data.draw(st.sampled_from(sorted(self.model.revisions)))
            with stage.house.database.read() as db:
                r = t.revisions
                named = db.scalar(select(r.c.id).where(r.c.deployment_id == self.id, r.c.number == number))
            self.agree(
                lambda: stage.alice.rollouts.rollback(*self.where, revision_id=named),
                lambda: self.model.roll_back(number),
            )

        @rule(verb=st.sampled_from(["stop", "start", "restart"]))
        def ask(self, verb: str) -> None:
            self.agree(lambda: getattr(stage.alice.deployments, verb)(*self.where), getattr(self.model, verb))

        @precondition(lambda self: max(self.model.revisions) > 2)
        @rule(force=st.booleans())
        def delete(self, force: bool) -> None:
            verb = stage.alice.deployments.force_delete if force else stage.alice.deployments.delete
            self.agree(lambda: verb(*self.where), lambda: self.model.delete(force=force))

        @rule(where=st.sampled_from([stages[1], None]))
        def follow(self, where: Any) -> None:
            if self.changed(follow_stage_id=where):
                begun = where is not None and not self.follows
                self.follows = where is not None
                self.chores_run(moved=begun)

        @rule(number=st.sampled_from([0, 1]))
        def move_stage(self, number: int) -> None:
            before = self.in_stage()
            stage.alice.track_entries.update(*track, entries[number], stage_id=stages[1], force=True)
            self.chores_run(moved=self.in_stage() != before)

        def in_stage(self) -> Any:
            """The artifact that is in the stage."""
            e = t.track_entries
            with stage.house.database.read() as db:
                return db.scalar(select(e.c.artifact_id).where(e.c.stage_id == stages[1]))

        def chores_run(self, *, moved: bool) -> None:
            """What is due at once is done. The clock of a step is not due yet."""
            stage.house.housekeeper.run_due()
            there = self.in_stage()
            if moved and self.follows and there is not None:
                self.model.follow(there)

        @rule()
        def rotate(self) -> None:
            self.value += 1
            stage.alice.secrets.update(*secret, value=f"riddle {self.value} of {self.id}")
            self.chores_run(moved=False)
            if self.at_start or self.attributes:
                self.model.secret_rotated(at_start=self.at_start)

        @rule(used=st.booleans())
        def use_attributes(self, used: bool) -> None:
            named = {"token": secret[-1]} if used else {}

            if self.changed(dynamic_attributes_secrets=named) and used != self.attributes:
                self.attributes = used
                self.model.secrets_version += 1
                self.model.asked = self.model.asked or self.model.desired == "running"

        def changed(self, **fields: Any) -> bool:
            """Change what is no part of a revision; whether there is still something to change."""
            if self.model.status == "gone":
                with pytest.raises(NotFound):
                    stage.alice.deployments.update(*self.where, **fields)
                return False
            stage.alice.deployments.update(*self.where, **fields)
            return True

        # The clock.

        @rule()
        def time_passes(self) -> None:
            pass_time(stage)
            self.model.time_passes()

        # The satellite.

        @rule(
            status=st.sampled_from(["active", "active", "failed", "not_responding", "pending", "deletion_failed"]),
            broken=st.sampled_from([None, False, True]),
            age=st.sampled_from([0, 0, 0, 1, 2, -1]),
        )
        def report(self, status: str, broken: bool | None, age: int) -> None:
            if self.confirmed:
                return
            generation = self.model.generation - age
            if generation < 1:
                return
            told: dict[str, Any] = {"status": status, "generation": generation}
            if broken is not None:
                told["error_message"] = NEVER if broken else None
            self.agree(
                lambda: satellite.update_deployment(self.id, **told),
                lambda: self.model.report(status, broken=broken, generation=generation),
            )

        @rule(status=st.sampled_from(["active", "failed", "not_responding", "deletion_failed"]))
        def report_as_the_contract_does(self, status: str) -> None:
            if not self.confirmed:
                told = "queued" not in [one.state for one in self.jobs()]
                self.agree(
                    lambda: satellite.update_deployment_status(self.id, status=status),
                    lambda: self.model.report(status, broken=None, generation=None, told=told),
                )

        @rule(age=st.sampled_from([0, 0, 1, -1]))
        def take_back(self, age: int) -> None:
            generation = self.model.generation - age
            if generation < 1 or self.confirmed:
                return
            told = {"generation": generation, "reason": "Too many requests failed", "error": "7 of 20"}
            self.agree(
                lambda: satellite.roll_back(self.id, **told),
                lambda: self.model.take_back(generation),
            )

        @rule()
        def confirm_gone(self) -> None:
            if self.confirmed:
                return
            self.agree(lambda: satellite.delete_deployment(self.id), self.model.confirm_gone)
            if self.model.desired == "deleted":
                self.model.status, self.confirmed = "gone", True

        @rule(data=st.data(), end=st.sampled_from(["done", "failed", "nothing"]))
        def work(self, data: st.DataObject, end: str) -> None:
            """Claim a job of the deployment, and end it, or let its lease run out."""
            waiting = [one for one in satellite.tasks(status="pending") if one.payload["deployment_id"] == str(self.id)]
            if not waiting:
                return
            task = data.draw(st.sampled_from(waiting))
            newest = {one.id for one in self.jobs() if one.state == "queued"}
            leased = satellite.update_task(task.id, status="running", lease_seconds=60)
            if task.id in newest:
                assert task.type == ("undeploy" if self.model.desired == "deleted" else "deploy")
                self.model.asked = False
            if end != "nothing":
                satellite.update_task(task.id, status=end, lease_token=leased.lease_token)
                return
            with stage.house.database.write() as db:
                db.execute(update(t.jobs).where(t.jobs.c.id == task.id).values(lease_expires_at=func.now()))

        # What holds at any time.

        @invariant()
        def they_agree(self) -> None:
            if self.confirmed or not hasattr(self, "model"):
                return
            one, model = satellite.deployment(self.id), self.model
            assert [(x.revision.number, x.weight, x.mirror) for x in one.targets] == model.shares()
            assert (one.desired, one.generation, one.observed_generation) == (
                model.desired, model.generation, model.observed,
            )  # fmt: skip
            assert one.status == ("deletion_pending" if model.status == "gone" else model.status)
            assert (one.error_message is not None) == model.broken
            assert (one.restarts, one.secrets_version) == (model.restarts, model.secrets_version)

        @invariant()
        def what_people_see_makes_sense(self) -> None:
            if not hasattr(self, "model"):
                return
            if self.model.status == "gone":
                with pytest.raises(NotFound):
                    stage.alice.deployments.get(*self.where)
                return
            one = stage.alice.deployments.get(*self.where)
            assert sum(target.weight for target in one.targets if not target.mirror) == 100
            assert (one.rollout is None) == (len(one.targets) == 1)
            assert one.observed_generation <= one.generation
            assert one.generation >= self.reached
            self.reached = one.generation

        @invariant()
        def what_is_wanted_has_a_job(self) -> None:
            if not hasattr(self, "model") or self.confirmed:
                return
            jobs = self.jobs()
            assert len(jobs) <= 2
            assert [one.state for one in jobs].count("queued") <= 1
            if self.model.asked:
                kind = "undeploy" if self.model.desired == "deleted" else "deploy"
                assert ("queued", kind) in {(one.state, one.type) for one in jobs}

    return Deployment


def run(stage: Stage, runs: int, steps: int) -> None:
    how = settings(max_examples=runs, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(stage), settings=how)


def test_a_deployment_keeps_to_its_model(stage: Stage) -> None:
    run(stage, 15, 25)


@pytest.mark.slow
def test_a_deployment_keeps_to_its_model_for_long(stage: Stage) -> None:
    run(stage, 30, 50)
