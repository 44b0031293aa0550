"""Deployments: models served on a satellite. The row is the truth; a job is only the hint that it has changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.jobs.queue import queueing
from luml_app.resources.changes import sent
from luml_app.resources.deployable import (
    SECRETS,
    check_parts,
    check_rollouts,
    check_secrets,
    find_parts,
    given,
    held_secrets,
    in_stage,
    secrets_of,
)
from luml_app.resources.deployment_rows import deployment_by_id, deployments_where
from luml_app.resources.desired import check_alive, deployment_job, desire, take_down
from luml_app.resources.sizes import check_size
from luml_app.resources.tasks import task_of
from luml_app.schemas.deployments import Deployment, DeploymentCreate, DeploymentUpdate
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.schemas.fields import UnsetType
from luml_app.schemas.rollouts import Reason
from luml_app.schemas.satellites import Task

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ONE = _ORBIT + "/deployments/{deployment_id}"
Listed = list[Deployment]


class Deployments(Resource):
    """Models served on satellites."""

    @operation(f"POST {_ORBIT}/deployments", needs="deployment:create")
    def create(self, body: DeploymentCreate) -> Deployment:
        """Deploy an uploaded model on a paired satellite; the satellite takes it from there."""
        for name in ("satellite_parameters", "env_variables", *SECRETS):
            check_size(getattr(body, name), name)
        orbit_id = self.scope.orbit_id
        named = not isinstance(body.artifact_id, UnsetType)
        if named == (body.follow_stage_id is not None):
            raise Invalid.field("artifact_id", "Send either artifact_id or follow_stage_id.")
        parts = find_parts(
            self.db,
            orbit_id,
            satellite_id=body.satellite_id,
            artifact_id=body.artifact_id if named else in_stage(orbit_id, body.follow_stage_id),
            secrets=secrets_of(body),
            missing=f"There is no such {'artifact' if named else 'stage, or no version in it,'} in this orbit.",
        )
        check_secrets(body, parts.secrets)
        check_parts(parts, body.satellite_parameters)
        deployment_id = self._insert(body, parts)
        after = {"name": body.name, "artifact_id": str(parts.id), "satellite_id": str(body.satellite_id)}
        self.scope.record("deployment.create", deployment_id, satellite_id=body.satellite_id, after=after)
        return deployment_by_id(self.db, deployment_id)

    @operation(f"GET {_ORBIT}/deployments", needs="deployment:list")
    def list(self) -> Listed:
        """The deployments of an orbit, newest first."""
        return deployments_where(self.db, t.deployments.c.orbit_id == self.scope.orbit_id)

    @operation(f"GET {_ONE}", needs="deployment:read")
    def get(self) -> Deployment:
        """A deployment."""
        return deployment_by_id(self.db, self.scope.row(t.deployments).id)

    @operation(f"PATCH {_ONE}", needs="deployment:update")
    def update(self, body: DeploymentUpdate) -> Deployment:
        """Change name, description, tags, the stage that it follows, or the secrets of dynamic attributes."""
        one = self.scope.row(t.deployments)
        self._check_references(body)
        before, changed = difference(one.columns, _texts(sent(body, t.deployments)))
        if changed:
            self._change(one, changed)
            self.scope.record("deployment.update", one.id, satellite_id=one.satellite_id, before=before, after=changed)
        return deployment_by_id(self.db, one.id)

    @operation(f"DELETE {_ONE}", needs="deployment:delete")
    def delete(self) -> Task:
        """Ask the satellite to take a deployment down; the answer is the task that does it."""
        one = self.scope.row(t.deployments)
        job = take_down(self.db, one)
        self.scope.record("deployment.delete", one.id, satellite_id=one.satellite_id, before={"name": one.name})
        return task_of(job)

    @operation(f"DELETE {_ONE}/force", needs="deployment:delete", status=204)
    def force_delete(self) -> None:
        """Forget a deployment at once, even when its satellite is away; the satellite cleans up when it is back."""
        one = self.scope.row(t.deployments)
        take_down(self.db, one, status="gone")
        self.scope.record("deployment.force_delete", one.id, satellite_id=one.satellite_id, before={"name": one.name})

    @operation(f"POST {_ONE}/stop", needs="deployment:update")
    def stop(self, body: Reason) -> Deployment:
        """Stop serving: no replica stays, and what the deployment is stays as it is; `start` serves it again.

        A rollout that is under way ends with it: the stable revision is what `start` serves.
        """
        one = self._living("stop a deployment")
        if one.desired == "running":
            ended = {"revision_id": one.stable_id, "stable_id": None, "rollout": None} if one.stable_id else {}
            desire(self.db, one, desired="stopped", status="pending", error_message=None, **ended)
            self._told("deployment.stop", one, body.why)
        return deployment_by_id(self.db, one.id)

    @operation(f"POST {_ONE}/start", needs="deployment:update")
    def start(self, body: Reason) -> Deployment:
        """Serve a deployment again that was stopped."""
        one = self._living("start a stopped deployment")
        if one.desired == "stopped":
            desire(self.db, one, desired="running", status="pending")
            self._told("deployment.start", one, body.why)
        return deployment_by_id(self.db, one.id)

    @operation(f"POST {_ONE}/restart", needs="deployment:update")
    def restart(self, body: Reason) -> Deployment:
        """Replace every replica by a new one; the old ones serve until the new ones are ready."""
        one = self._living("restart a deployment")
        if one.desired != "running":
            raise Conflict("The deployment is stopped; start it.")
        desire(self.db, one, restarts=one.restarts + 1, error_message=None)
        self._told("deployment.restart", one, body.why)
        return deployment_by_id(self.db, one.id)

    def _living(self, what: str) -> Any:
        """The deployment, unless it is being deleted, or its satellite is too old to `what`."""
        one, s = self.scope.row(t.deployments), t.satellites
        check_alive(one)
        check_rollouts(self.db.scalar(select(s.c.capabilities).where(s.c.id == one.satellite_id)) or {}, what)
        return one

    def _told(self, action: str, one: Any, why: str | None) -> None:
        self.scope.record(action, one.id, satellite_id=one.satellite_id, after={"name": one.name}, why=why)

    def _check_references(self, body: DeploymentUpdate) -> None:
        """Raise NotFound for secrets and a stage that the orbit does not have."""
        refers, stage_id = secrets_of(body), given(body.follow_stage_id, None)
        if not refers and stage_id is None:
            return
        check_size(given(body.dynamic_attributes_secrets, {}), "dynamic_attributes_secrets")
        st, tr, orbit_id = t.stages, t.tracks, self.scope.orbit_id
        stage = select(st.c.id).join(tr, tr.c.id == st.c.track_id).where(st.c.id == stage_id, tr.c.orbit_id == orbit_id)
        held = held_secrets(orbit_id, refers).label("secrets")
        known = self.db.execute(select(held, stage.scalar_subquery().label("stage_id"))).one()
        check_secrets(body, known.secrets)
        if stage_id is not None and known.stage_id is None:
            raise NotFound("There is no such stage in this orbit (follow_stage_id).")

    def _change(self, one: Any, changed: dict[str, Any]) -> None:
        """Write what has changed. New secrets of dynamic attributes are for the satellite to fetch, so it is told."""
        d = t.deployments
        values = {**changed, "updated_at": func.now()}
        told = "dynamic_attributes_secrets" in changed
        if told:
            values["secrets_version"] = d.c.secrets_version + 1
        query = update(d).where(d.c.id == one.id).values(values)
        if told and one.desired == "running":
            place = {"satellite_id": one.satellite_id, "orbit_id": one.orbit_id}
            query = query.add_cte(queueing(deployment_job(one.id, "deploy", **place)).cte("job"))
        self.db.execute(query)

    def _insert(self, body: DeploymentCreate, artifact: Any) -> Any:
        """Deployment, first revision and job, in one statement."""
        deployment_id, revision_id = new_id(), new_id()
        deployment = insert(t.deployments).values(
            id=deployment_id,
            orbit_id=self.scope.orbit_id,
            satellite_id=body.satellite_id,
            name=body.name,
            description=body.description,
            tags=body.tags,
            status="pending",
            revision_id=revision_id,
            dynamic_attributes_secrets=body.dynamic_attributes_secrets,
            follow_stage_id=body.follow_stage_id,
            created_by_user=self.scope.caller.full_name or self.scope.caller.name,
        )
        revision = insert(t.revisions).values(
            id=revision_id,
            deployment_id=deployment_id,
            artifact_id=artifact.id,
            number=1,
            digest=artifact.file_hash,
            parameters=body.satellite_parameters,
            env_variables=body.env_variables,
            env_variables_secrets=body.env_variables_secrets,
            created_by_id=self.scope.user_id,
        )
        place = {"satellite_id": body.satellite_id, "orbit_id": self.scope.orbit_id}
        job = insert(t.jobs).values(deployment_job(deployment_id, "deploy", **place))
        self.db.execute(job.add_cte(deployment.cte("d"), revision.cte("r")))
        return deployment_id


def _texts(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with ids as the texts that JSON makes of them."""
    name = "dynamic_attributes_secrets"
    ids = {name: {key: str(one) for key, one in columns[name].items()}} if columns.get(name) else {}
    return columns | ids
