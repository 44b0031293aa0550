"""Revisions and rollouts, as people ask for them and satellites report on them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from luml_app.core import tables as t
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from tests.api.stage import CAPABILITIES, Stage
from tests.api.together import together
from tests.satellite.contract_server import until

PLAIN = {"deploy": {name: value for name, value in CAPABILITIES["deploy"].items() if name != "rollouts"}}


@pytest.fixture
def where(stage: Stage) -> tuple[Any, ...]:
    return stage.path("deployment_id")


@pytest.fixture
def serving(stage: Stage, where: tuple[Any, ...]) -> Any:
    """The deployment, whose first revision serves."""
    return report(stage, generation=1)


def report(stage: Stage, **told: Any) -> Any:
    return stage.satellite.agent.update_deployment(stage.ids["deployment_id"], **({"status": "active"} | told))


def claim(stage: Stage) -> Any:
    """Take the one job that waits."""
    (task,) = stage.satellite.agent.tasks(status="pending")
    return stage.satellite.agent.update_task(task.id, status="running")


def shares(deployment: Any) -> list[tuple[int, int, bool]]:
    return [(one.revision.number, one.weight, one.mirror) for one in deployment.targets]


def pass_time(stage: Stage) -> None:
    """Let the clock of every waiting step run down, and do what is due."""
    with stage.house.database.write() as db:
        due = t.jobs.c.type == "deployment.advance"
        db.execute(update(t.jobs).where(due).values(scheduled_at=func.now() - timedelta(seconds=1)))
    stage.house.housekeeper.run_due()


def end_who_waits(stage: Stage) -> bool:
    """End the sessions of the database that wait for a lock; whether there were some."""
    waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    with stage.house.database.read() as db:
        return bool(db.execute(text(f"{waiting} current_database()")).all())


def actions(stage: Stage, where: tuple[Any, ...]) -> list[str]:
    found = stage.alice.events.list_in_orbit(*where[:2], object_id=where[-1]).items
    return [one.action for one in reversed(found)]


class TestANewRevision:
    def test_takes_over_what_is_not_sent(self, stage: Stage, where: Any, serving: Any) -> None:
        made = stage.alice.revisions.create(*where, env_variables={"MOOD": "glad"}, why="cheer up")
        assert (made.revision.number, made.generation, made.observed_generation) == (2, 2, 1)
        assert made.artifact_id == serving.artifact_id
        assert made.env_variables == {"MOOD": "glad"}
        assert made.env_variables_secrets == serving.env_variables_secrets != {}
        (task,) = stage.satellite.agent.tasks(status="pending")
        assert (task.type, task.payload) == ("deploy", {"deployment_id": str(where[-1])})

    def test_leaves_the_one_before_ready_until_it_serves(self, stage: Stage, where: Any, serving: Any) -> None:
        made = stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        assert shares(made) == [(1, 0, False), (2, 100, False)]
        with pytest.raises(Conflict, match="changed meanwhile"):
            report(stage, generation=1)
        failed = report(stage, generation=2, error_message={"reason": "no", "error": "memory"})
        assert shares(failed) == [(1, 0, False), (2, 100, False)]
        done = report(stage, generation=2, error_message=None)
        assert (shares(done), done.rollout, done.generation) == ([(2, 100, False)], None, 2)
        assert [one.served_at is not None for one in stage.alice.revisions.list(*where).items] == [True, True]

    def test_of_what_never_served_leaves_nothing_behind(self, stage: Stage, where: Any) -> None:
        report(stage, status="failed", generation=1, error_message={"reason": "no", "error": "memory"})
        made = stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        assert (shares(made), made.status, made.error_message) == ([(2, 100, False)], "pending", None)
        with pytest.raises(Conflict, match="weight 100"):
            stage.alice.revisions.create(*where, rollout={"weight": 5})

    def test_is_refused_like_a_new_deployment(self, stage: Stage, where: Any, serving: Any) -> None:
        missing = stage.ids["deployment_id"]
        with pytest.raises(NotFound, match="artifact"):
            stage.alice.revisions.create(*where, artifact_id=missing)
        with pytest.raises(NotFound, match="secret"):
            stage.alice.revisions.create(*where, env_variables_secrets={"A": missing})
        with pytest.raises(Invalid, match="weight"):
            stage.alice.revisions.create(*where, rollout={"weight": 101})
        stage.alice.deployments.delete(*where)
        with pytest.raises(Conflict, match="being deleted"):
            stage.alice.revisions.create(*where)

    def test_is_made_by_one_of_two_who_want_it_at_once(self, stage: Stage, where: Any, serving: Any) -> None:
        answers = together(lambda number: stage.alice.revisions.create(*where, env_variables={"N": str(number)}))
        made = [one for one in answers if not isinstance(one, type)]
        assert made
        assert {one for one in answers if isinstance(one, type)} <= {Conflict}
        numbers = [one.number for one in stage.alice.revisions.list(*where).items]
        assert numbers == sorted(range(1, len(made) + 2), reverse=True)

    def test_goes_to_an_old_satellite_all_at_once_only(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.satellite.agent.pair(base_url="http://127.0.0.1:9", capabilities=PLAIN)
        for rollout in ({"weight": 5}, {"mirror": True}, {"bounds": {"error_rate": 0.1}}):
            with pytest.raises(Conflict, match="update the satellite"):
                stage.alice.revisions.create(*where, rollout=rollout)
        for verb in (stage.alice.deployments.stop, stage.alice.deployments.restart):
            with pytest.raises(Conflict, match="update the satellite"):
                verb(*where)
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        claim(stage)
        done = stage.satellite.agent.update_deployment_status(where[-1], status="active")
        assert shares(done) == [(2, 100, False)]


class TestShares:
    def test_are_raised_by_hand(self, stage: Stage, where: Any, serving: Any) -> None:
        made = stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"weight": 5})
        assert shares(made) == [(1, 95, False), (2, 5, False)]
        assert shares(report(stage, generation=2)) == [(1, 95, False), (2, 5, False)]
        assert shares(stage.alice.rollouts.update(*where, weight=25)) == [(1, 75, False), (2, 25, False)]
        last = stage.alice.rollouts.update(*where, weight=100, why="all is well")
        assert shares(last) == [(1, 0, False), (2, 100, False)]
        assert shares(report(stage, generation=4)) == [(2, 100, False)]
        with pytest.raises(Conflict, match="No rollout"):
            stage.alice.rollouts.update(*where, weight=50)

    def test_are_raised_by_the_clock(self, stage: Stage, where: Any, serving: Any) -> None:
        steps = [{"weight": 5, "seconds": 60}, {"weight": 25, "seconds": 60}, {"weight": 100, "seconds": 60}]
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"steps": steps})
        pass_time(stage)
        assert shares(stage.alice.deployments.get(*where))[1] == (2, 5, False), "the clock begins when it serves"
        report(stage, generation=2)
        report(stage, generation=2)
        pass_time(stage)
        assert shares(stage.alice.deployments.get(*where)) == [(1, 75, False), (2, 25, False)]
        report(stage, generation=3)
        pass_time(stage)
        assert shares(report(stage, generation=4)) == [(1, 0, False), (2, 100, False)], "the one before stands by"
        pass_time(stage)
        done = stage.alice.deployments.get(*where)
        assert (shares(done), done.rollout, done.generation) == ([(2, 100, False)], None, 5)
        assert actions(stage, where).count("deployment.rollout") == 2

    def test_stay_while_not_all_is_well(self, stage: Stage, where: Any, serving: Any) -> None:
        steps = [{"weight": 5, "seconds": 60}, {"weight": 100}]
        stage.alice.revisions.create(*where, rollout={"steps": steps})
        report(stage, generation=2)
        report(stage, generation=2, error_message={"reason": "no", "error": "memory"})
        pass_time(stage)
        assert shares(stage.alice.deployments.get(*where))[1] == (2, 5, False)
        report(stage, generation=2, error_message=None)
        pass_time(stage)
        assert shares(stage.alice.deployments.get(*where))[1] == (2, 100, False)

    def test_by_hand_end_the_steps(self, stage: Stage, where: Any, serving: Any) -> None:
        steps = [{"weight": 5, "seconds": 60}, {"weight": 100}]
        stage.alice.revisions.create(*where, rollout={"steps": steps})
        report(stage, generation=2)
        stage.alice.rollouts.update(*where, weight=10)
        pass_time(stage)
        now = stage.alice.deployments.get(*where)
        assert (shares(now)[1], now.rollout.steps) == ((2, 10, False), [])

    def test_a_mirror_gets_copies_and_no_share(self, stage: Stage, where: Any, serving: Any) -> None:
        made = stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"mirror": True})
        assert shares(made) == [(1, 100, False), (2, 0, True)]
        assert shares(report(stage, generation=2)) == [(1, 100, False), (2, 0, True)]
        stage.alice.rollouts.update(*where, weight=100)
        assert shares(report(stage, generation=3)) == [(2, 100, False)]


class TestTheWayBack:
    def test_of_a_rollout_is_the_stable_revision(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"weight": 5})
        back = stage.alice.rollouts.rollback(*where, why="it smells")
        assert (shares(back), back.rollout, back.artifact_id) == ([(1, 100, False)], None, serving.artifact_id)
        newest = stage.alice.revisions.list(*where).items[0]
        assert newest.problem == {"reason": "Taken back by hand", "error": "it smells"}

    def test_leads_on_to_what_served_before(self, stage: Stage, where: Any, serving: Any) -> None:
        for number in (2, 3):
            stage.alice.revisions.create(*where, env_variables={"N": str(number)})
            report(stage, generation=number)
        stage.alice.revisions.create(*where, env_variables={"N": "4"}, rollout={"weight": 5})
        stage.alice.rollouts.rollback(*where)
        first = stage.alice.rollouts.rollback(*where)
        assert shares(first) == [(3, 0, False), (2, 100, False)], "the one that serves goes on until the other is ready"
        assert shares(report(stage, generation=first.generation)) == [(2, 100, False)]
        second = stage.alice.rollouts.rollback(*where)
        report(stage, generation=second.generation)
        assert second.revision.number == 1
        with pytest.raises(Conflict, match="No earlier revision"):
            stage.alice.rollouts.rollback(*where)
        named = stage.alice.rollouts.rollback(*where, revision_id=first.targets[0].revision.id)
        assert named.revision.number == 3

    def test_shows_the_difference_first(self, stage: Stage, where: Any, serving: Any) -> None:
        changed = stage.alice.revisions.create(*where, artifact_id=stage.spare.id, env_variables={"MOOD": "glad"})
        told = stage.alice.revisions.difference(*where, serving.revision.id)
        assert (told.now.id, told.then.id) == (changed.revision.id, serving.revision.id)
        assert {name: (one.now, one.then) for name, one in told.changes.items()} == {
            "artifact_id": (str(stage.spare.id), str(serving.artifact_id)),
            "env_variables.MOOD": ("glad", None),
        }
        with pytest.raises(NotFound):
            stage.alice.revisions.difference(*where, where[-1])

    def test_is_taken_by_the_satellite_when_bounds_are_crossed(self, stage: Stage, where: Any, serving: Any) -> None:
        bounds = {"error_rate": 0.05, "p95_seconds": 1.5}
        made = stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"bounds": bounds})
        assert [(one.weight, one.seconds) for one in made.rollout.steps] == [(100, 60)], "the one before stands by"
        report(stage, generation=2)
        told = {"reason": "Too many requests failed", "error": "7 of 20"}
        with pytest.raises(Conflict):
            stage.satellite.agent.roll_back(where[-1], generation=1, **told)
        back = stage.satellite.agent.roll_back(where[-1], generation=2, **told)
        assert (shares(back), back.generation) == ([(1, 100, False)], 3)
        assert stage.alice.revisions.list(*where).items[0].problem == told
        with pytest.raises(Conflict):
            stage.satellite.agent.roll_back(where[-1], generation=3, **told)
        pass_time(stage)
        assert stage.alice.deployments.get(*where).generation == 3, "the clock of what was taken back is nobody's"


class TestStopAndStart:
    def test_what_is_stopped_stays_what_it_is(self, stage: Stage, where: Any, serving: Any) -> None:
        stopped = stage.alice.deployments.stop(*where, why="night")
        assert (stopped.desired, stopped.status, stopped.generation) == ("stopped", "pending", 2)
        assert stage.alice.deployments.stop(*where).generation == 2
        started = stage.alice.deployments.start(*where)
        assert (started.desired, started.generation, shares(started)) == ("running", 3, [(1, 100, False)])

    def test_a_rollout_ends_with_the_stop(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id, rollout={"weight": 5})
        stage.alice.deployments.stop(*where)
        assert shares(stage.alice.deployments.start(*where)) == [(1, 100, False)]

    def test_a_restart_asks_for_new_replicas(self, stage: Stage, where: Any, serving: Any) -> None:
        again = stage.alice.deployments.restart(*where)
        assert (again.restarts, again.generation, again.revision.id) == (1, 2, serving.revision.id)
        stage.alice.deployments.stop(*where)
        with pytest.raises(Conflict, match="start it"):
            stage.alice.deployments.restart(*where)


class TestFollowing:
    def test_rolls_forward_when_the_stage_moves(self, stage: Stage, where: Any) -> None:
        track = stage.path("track_id")
        staging = stage.alice.tracks.get(*track).stages[0]
        made = stage.alice.deployments.create(
            *where[:2], name="Follower", satellite_id=stage.ids["satellite_id"], follow_stage_id=staging.id
        )
        assert (made.artifact_id, made.follows.stage, made.follows.track) == (
            stage.ids["artifact_id"],
            "staging",
            "Tea party",
        )
        stage.satellite.agent.update_deployment(made.id, status="active", generation=1)
        stage.house.housekeeper.run_due()
        assert stage.alice.deployments.get(*where[:2], made.id).generation == 1, "it serves it already"
        second = stage.alice.track_entries.create(*track, artifact_id=stage.spare.id)
        stage.alice.track_entries.update(*track, second.id, stage_id=staging.id, force=True)
        stage.house.housekeeper.run_due()
        now = stage.alice.deployments.get(*where[:2], made.id)
        assert (now.artifact_id, shares(now)) == (stage.spare.id, [(1, 0, False), (2, 100, False)])
        stage.alice.deployments.update(*where[:2], made.id, follow_stage_id=None)
        stage.alice.track_entries.update(*track, stage.ids["entry_id"], stage_id=staging.id, force=True)
        stage.house.housekeeper.run_due()
        assert stage.alice.deployments.get(*where[:2], made.id).artifact_id == stage.spare.id

    def test_begins_with_what_is_there(self, stage: Stage, where: Any, serving: Any) -> None:
        track = stage.path("track_id")
        production = stage.alice.tracks.get(*track).stages[1]
        stage.alice.track_entries.create(*track, artifact_id=stage.spare.id, stage_id=production.id)
        stage.alice.deployments.update(*where, follow_stage_id=production.id)
        stage.house.housekeeper.run_due()
        assert stage.alice.deployments.get(*where).artifact_id == stage.spare.id

    def test_an_empty_stage_gives_nothing_to_deploy(self, stage: Stage, where: Any) -> None:
        production = stage.alice.tracks.get(*stage.path("track_id")).stages[1]
        known = {"name": "Follower", "satellite_id": stage.ids["satellite_id"]}
        with pytest.raises(NotFound, match="no version in it"):
            stage.alice.deployments.create(*where[:2], **known, follow_stage_id=production.id)
        for ids in ({}, {"artifact_id": stage.spare.id, "follow_stage_id": production.id}):
            with pytest.raises(Invalid, match="either artifact_id or follow_stage_id"):
                stage.alice.deployments.create(*where[:2], **known, **ids)

    def test_what_cannot_be_deployed_is_told_of(self, stage: Stage, where: Any, serving: Any) -> None:
        staging = stage.alice.tracks.get(*stage.path("track_id")).stages[0]
        stage.alice.deployments.update(*where, follow_stage_id=staging.id)
        stage.satellite.agent.pair(base_url="http://127.0.0.1:9", capabilities={"deploy": {"supported_variants": []}})
        second = stage.alice.track_entries.create(*stage.path("track_id"), artifact_id=stage.spare.id)
        stage.alice.track_entries.update(*stage.path("track_id"), second.id, stage_id=staging.id, force=True)
        stage.house.housekeeper.run_due()
        assert stage.alice.deployments.get(*where).generation == 1
        told = stage.alice.events.list_in_orbit(*where[:2], object_id=where[-1]).items[0]
        assert (told.action, told.why) == (
            "deployment.follow_refused",
            "The satellite deploys nothing, not pyfunc models.",
        )


class TestSecrets:
    def test_a_new_value_reaches_what_runs(self, stage: Stage, where: Any, serving: Any) -> None:
        secret = stage.path("orbit_secret_id")
        stage.alice.secrets.update(*secret, value="a raven and a writing desk")
        stage.house.housekeeper.run_due()
        assert stage.alice.deployments.get(*where).restarts == 0, "it is the old value"
        stage.alice.secrets.update(*secret, value="why")
        stage.house.housekeeper.run_due()
        restarted = stage.alice.deployments.get(*where)
        assert (restarted.restarts, restarted.generation) == (1, 2)

    def test_the_work_of_a_killed_chore_is_not_done_twice(self, stage: Stage, where: Any, serving: Any) -> None:
        secret, jobs = stage.path("orbit_secret_id"), t.jobs
        parts = {"satellite_id": stage.ids["satellite_id"], "artifact_id": stage.ids["artifact_id"]}
        other = stage.alice.deployments.create(
            *where[:2], name="Second", **parts, env_variables_secrets={"PASSWORD": secret[-1]}
        )
        both = sorted([where[-1], other.id])
        stage.alice.secrets.update(*secret, value="why")
        with stage.house.database.write() as db:
            db.execute(select(t.deployments.c.id).where(t.deployments.c.id == both[1]).with_for_update())
            killed = threading.Thread(target=stage.house.housekeeper.run_due)
            killed.start()
            until(lambda: end_who_waits(stage), what="the chore at the second deployment")
            killed.join()
        restarts = [stage.alice.deployments.get(*where[:2], one).restarts for one in both]
        assert restarts == [1, 0]
        with stage.house.database.write() as db:
            again = update(jobs).where(jobs.c.type == "secret.renew").values(scheduled_at=func.now())
            assert db.execute(again).rowcount
        stage.house.housekeeper.run_due()
        assert [stage.alice.deployments.get(*where[:2], one).restarts for one in both] == [1, 1]
        stage.alice.secrets.update(*secret, value="because")
        stage.house.housekeeper.run_due()
        assert [stage.alice.deployments.get(*where[:2], one).restarts for one in both] == [2, 2]

    def test_those_of_attributes_need_no_restart(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.alice.revisions.create(*where, env_variables_secrets={})
        report(stage, generation=2)
        secret = stage.path("orbit_secret_id")
        told = stage.alice.deployments.update(*where, dynamic_attributes_secrets={"token": secret[-1]})
        assert (told.secrets_version, told.generation) == (1, 2)
        stage.alice.secrets.update(*secret, value="why")
        stage.house.housekeeper.run_due()
        now = stage.alice.deployments.get(*where)
        assert (now.secrets_version, now.restarts, now.generation) == (2, 0, 2)
        with stage.house.database.read() as db:
            queued = (
                select(func.count()).select_from(t.jobs).where(t.jobs.c.state == "queued", t.jobs.c.type == "deploy")
            )
            assert db.scalar(queued) == 1
