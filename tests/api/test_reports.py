"""Reports of satellites that name no generation, as those that speak the contract alone, beside changes."""

from __future__ import annotations

from typing import Any

from tests.api.stage import Stage
from tests.api.test_rollouts import claim, report, serving, shares, where
from tests.api.together import together

__all__ = ["serving", "where"]


class TestReportsWithoutAGeneration:
    """Satellites that speak the contract alone look at a deployment when they have claimed its job."""

    def test_after_the_claim_is_about_the_new_revision(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        claim(stage)
        done = report(stage)
        assert (shares(done), done.rollout, done.observed_generation) == ([(2, 100, False)], None, 2)

    def test_before_the_claim_is_about_the_revision_before(self, stage: Stage, where: Any, serving: Any) -> None:
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        early = report(stage, inference_url="http://first")
        assert (shares(early), early.observed_generation) == ([(1, 0, False), (2, 100, False)], 1)
        assert (early.status, early.inference_url) == ("active", "http://first")
        assert [one.served_at is not None for one in stage.alice.revisions.list(*where).items] == [False, True]
        claim(stage)
        assert report(stage).rollout is None

    def test_of_an_earlier_job_ends_no_later_rollout(self, stage: Stage, where: Any, serving: Any) -> None:
        first = claim(stage)
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        assert report(stage).observed_generation == 1
        stage.satellite.agent.update_task(first.id, status="done")
        assert stage.alice.deployments.get(*where).rollout is not None
        claim(stage)
        assert (report(stage).rollout, report(stage).observed_generation) == (None, 2)

    def test_in_the_moment_of_a_change_is_not_about_it(self, stage: Stage, where: Any, serving: Any) -> None:
        """Whichever is first: a report that is written after the change has not seen it."""
        claim(stage)
        stage.alice.revisions.create(*where, artifact_id=stage.spare.id)
        self.claim_waiting_job_of(stage, where)
        for number in range(4):
            before = report(stage).generation

            def change_or_report(which: int, number: int = number) -> None:
                if which == 0:
                    stage.alice.revisions.create(*where, env_variables={"N": str(number)})
                else:
                    report(stage)

            together(change_or_report)
            now = stage.alice.deployments.get(*where)
            assert (now.observed_generation, now.generation) == (before, before + 1)
            assert now.rollout is not None
            self.claim_waiting_job_of(stage, where)
            assert report(stage).rollout is None

    def claim_waiting_job_of(self, stage: Stage, where: Any) -> None:
        for task in stage.satellite.agent.tasks(status="running"):
            stage.satellite.agent.update_task(task.id, status="done")
        claim(stage)
