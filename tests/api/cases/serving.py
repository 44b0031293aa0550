"""Calls about satellites and deployments, and those of satellites."""

from __future__ import annotations

from typing import Any

from tests.api.cases.playing import CASES, Case, case, plain
from tests.api.stage import CAPABILITIES, Stage

plain("satellites.create", {"name": "Cheshire cat"})
plain("satellites.list", paired=True)
plain("satellites.get")
plain("satellites.update", {"description": "late"})
plain("satellites.rotate_key")


@case("satellites.delete")
def _(stage: Stage) -> Case:
    return Case(path={"satellite_id": stage.alice.satellites.create(*stage.path(), name="Empty").satellite.id})


@case("deployments.create")
def _(stage: Stage) -> Case:
    ids = {name: str(stage.ids[name]) for name in ("satellite_id", "artifact_id")}
    secret = str(stage.ids["orbit_secret_id"])
    secrets = {"env_variables_secrets": {"PASSWORD": secret}, "dynamic_attributes_secrets": {"token": secret}}
    return Case({**ids, "name": "Second oracle", "env_variables": {"MOOD": "mad"}, **secrets})


plain("deployments.list")
plain("deployments.get")
CASES["deployments.update"] = lambda stage: Case(
    {"name": "Sibyl", "dynamic_attributes_secrets": {"token": str(stage.ids["orbit_secret_id"])}}
)
plain("deployments.delete")
plain("deployments.force_delete")

plain("deployments.stop", {"why": "tea"})
plain("deployments.restart", {"why": "tea"})


@case("deployments.start")
def _(stage: Stage) -> Case:
    stage.alice.deployments.stop(*stage.path("deployment_id"))
    return Case({"why": "tea is over"})


def _serving(stage: Stage) -> None:
    """The deployment's first revision has been seen to serve."""
    stage.satellite.agent.update_deployment(stage.ids["deployment_id"], status="active", generation=1)


@case("revisions.create")
def _(stage: Stage) -> Case:
    _serving(stage)
    secret = {"PASSWORD": str(stage.ids["orbit_secret_id"])}
    rollout = {"steps": [{"weight": 5, "seconds": 60}, {"weight": 100}], "bounds": {"error_rate": 0.1}}
    changes = {"env_variables": {"MOOD": "glad"}, "env_variables_secrets": secret, "artifact_id": str(stage.spare.id)}
    return Case({**changes, "rollout": rollout, "why": "a better one"})


plain("revisions.list")


def _canary(stage: Stage) -> dict[str, Any]:
    """A second revision gets five percent of the requests; the ids of the stage with that of the first revision."""
    _serving(stage)
    here = stage.path("deployment_id")
    first = stage.alice.deployments.get(*here).revision.id
    stage.alice.revisions.create(*here, artifact_id=stage.spare.id, rollout={"weight": 5})
    return {"revision_id": first}


@case("revisions.difference")
def _(stage: Stage) -> Case:
    return Case(path=_canary(stage))


@case("rollouts.update")
def _(stage: Stage) -> Case:
    _canary(stage)
    return Case({"weight": 25, "why": "all is well"})


@case("rollouts.rollback")
def _(stage: Stage) -> Case:
    return Case({"revision_id": str(_canary(stage)["revision_id"]), "why": "all is not well"})


@case("agent.roll_back")
def _(stage: Stage) -> Case:
    _canary(stage)
    return Case({"generation": 2, "reason": "Too many errors", "error": "7 of 20 requests"})


plain("agent.pair", {"base_url": "http://127.0.0.1:10", "capabilities": CAPABILITIES, "slug": "rabbit"})
plain("agent.open_session", {"instance": "of-the-stage", "lease_seconds": 30})


@case("agent.close_session")
def _(stage: Stage) -> Case:
    stage.satellite.agent.open_session(instance="of-the-stage")
    return Case(query={"instance": "of-the-stage"})


plain("agent.tasks", status="pending")
plain("agent.update_task", {"status": "running", "lease_seconds": 30})


@case("agent.renew_task")
def _(stage: Stage) -> Case:
    task = stage.satellite.agent.update_task(stage.ids["task_id"], status="running", lease_seconds=30)
    return Case({"lease_token": str(task.lease_token), "lease_seconds": 60})


plain("agent.deployments")
plain("agent.deployment")
plain("agent.update_deployment", {"status": "active", "inference_url": "http://127.0.0.1:9/d", "generation": 1})
plain("agent.update_deployment_status", {"status": "failed"})


@case("agent.delete_deployment")
def _(stage: Stage) -> Case:
    stage.alice.deployments.delete(*stage.path("deployment_id"))
    return Case()


CASES["agent.inference_access"] = lambda stage: Case({"api_key": stage.cast.alice.api_key})
plain("agent.secrets")
plain("agent.artifact")
plain("agent.artifact_url")
plain("agent.model")
plain("agent.model_url")
