"""Deployments: models served on a satellite. The row is the truth; a job is only the hint that it has changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Connection, Select, Text, bindparam, func, insert, literal, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paths import in_living_collection
from luml_app.core.prepared import Prepared
from luml_app.jobs.queue import cancel_queued, enqueue, new_job
from luml_app.resources.changes import sent
from luml_app.resources.parameters import ModelTraits, check_kind, check_parameters
from luml_app.resources.sizes import check_size
from luml_app.resources.tasks import task_of
from luml_app.schemas.deployments import Deployment, DeploymentBase, DeploymentCreate, DeploymentUpdate, Revision
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.satellites import Task

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ONE = _ORBIT + "/deployments/{deployment_id}"
Listed = list[Deployment]


class Deployments(Resource):
    """Models served on satellites."""

    @operation(f"POST {_ORBIT}/deployments", needs="deployment:create")
    def create(self, body: DeploymentCreate) -> Deployment:
        """Deploy an uploaded model on a paired satellite; the satellite takes it from there."""
        for name in ("satellite_parameters", "env_variables", *_SECRETS):
            check_size(getattr(body, name), name)
        parts = self._parts(body)
        _check_secrets(body, parts.secrets)
        _check_parts(parts)
        check_parameters(parts.capabilities["deploy"], body.satellite_parameters, _traits(parts))
        deployment_id = self._insert(body, digest=parts.file_hash)
        after = {"name": body.name, "artifact_id": str(body.artifact_id), "satellite_id": str(body.satellite_id)}
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
        """Change name, description, tags or the secrets of dynamic attributes."""
        one, d = self.scope.row(t.deployments), t.deployments
        if refers := _secrets_of(body):
            check_size(body.dynamic_attributes_secrets, "dynamic_attributes_secrets")
            _check_secrets(body, self.db.scalar(select(_held(self.scope.orbit_id, refers))))
        before, changed = difference(one.columns, _texts(sent(body, d)))
        if changed:
            self.db.execute(update(d).where(d.c.id == one.id).values(**changed, updated_at=func.now()))
            self.scope.record("deployment.update", one.id, before=before, after=changed)
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

    def _parts(self, body: DeploymentCreate) -> Any:
        """Artifact, satellite and secrets of this orbit, in one query. Artifact and secrets are held, so that they stay
        as they are.
        """
        a, s, orbit = t.artifacts, t.satellites, self.scope.orbit_id
        artifact = (a.c.id == body.artifact_id) & (a.c.orbit_id == orbit) & in_living_collection()
        satellite = (s.c.id == body.satellite_id) & (s.c.orbit_id == orbit)
        variant = a.c.manifest["variant"].astext.label("variant")
        tags = a.c.manifest["producer_tags"].label("producer_tags")
        secrets = _held(orbit, _secrets_of(body)).label("secrets")
        columns = [a.c.type, a.c.status, a.c.file_hash, variant, tags, s.c.paired, s.c.capabilities, secrets]
        both = select(*columns).select_from(a.join(s, satellite)).where(artifact).with_for_update(read=True, of=a)
        row = self.db.execute(both).one_or_none()
        if row is None:
            missing = "satellite" if self.db.scalar(select(a.c.id).where(artifact)) else "artifact"
            raise NotFound(f"There is no such {missing} in this orbit.")
        return row

    def _insert(self, body: DeploymentCreate, *, digest: str) -> Any:
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
            created_by_user=self.scope.caller.full_name or self.scope.caller.name,
        )
        revision = insert(t.revisions).values(
            id=revision_id,
            deployment_id=deployment_id,
            artifact_id=body.artifact_id,
            number=1,
            digest=digest,
            parameters=body.satellite_parameters,
            env_variables=body.env_variables,
            env_variables_secrets=body.env_variables_secrets,
            created_by_id=self.scope.user_id,
        )
        place = {"satellite_id": body.satellite_id, "orbit_id": self.scope.orbit_id}
        job = insert(t.jobs).values(_job_row(deployment_id, "deploy", **place))
        self.db.execute(job.add_cte(deployment.cte("d"), revision.cte("r")))
        return deployment_id


def take_down(db: Connection, one: Any, status: str = "deletion_pending") -> Any:
    """Have its satellite take a deployment down; the job that does it. ``gone`` does not wait for the satellite."""
    d = t.deployments
    wanted = {"desired": "deleted", "status": status, "generation": d.c.generation + 1, "updated_at": func.now()}
    asked_before = (d.c.desired == "deleted") & (d.c.status != "deletion_failed") & (status != "gone")
    db.execute(update(d).where(d.c.id == one.id, ~asked_before).values(**wanted))
    cancel_queued(db, f"deployment:{one.id}", "deploy")
    return enqueue(db, _job_row(one.id, "undeploy", satellite_id=one.satellite_id, orbit_id=one.orbit_id))


def _job_row(deployment_id: Any, kind: str, **place: Any) -> dict[str, Any]:
    payload = {"deployment_id": str(deployment_id)}
    return new_job(kind, payload, dedupe_key=f"deployment:{deployment_id}", **place)


_SECRETS = ("env_variables_secrets", "dynamic_attributes_secrets")


def _secrets_of(body: DeploymentCreate | DeploymentUpdate) -> set[UUID]:
    """The secrets that a body refers to."""
    return {secret for name in _SECRETS for secret in (getattr(body, name, None) or {}).values()}


def _texts(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with ids as the texts that JSON makes of them."""
    name = "dynamic_attributes_secrets"
    ids = {name: {key: str(one) for key, one in columns[name].items()}} if columns.get(name) else {}
    return columns | ids


def _held(orbit_id: Any, secrets: set[UUID]) -> Any:
    """Which of the secrets the orbit has, as a column; none of them is deleted before the transaction ends."""
    s = t.orbit_secrets
    mine = select(s.c.id).where(s.c.orbit_id == orbit_id, s.c.id.in_(secrets))
    held = mine.with_for_update(read=True, key_share=True).cte("held")
    return func.array(select(held.c.id).scalar_subquery())


def _check_secrets(body: DeploymentCreate | DeploymentUpdate, known: Any) -> None:
    for name in _SECRETS:
        for wanted in (getattr(body, name, None) or {}).values():
            if wanted not in known:
                raise NotFound(f"There is no secret {wanted} in this orbit ({name}).")


def _check_parts(parts: Any) -> None:
    if parts.type != "model":
        raise Conflict(f"Only a model can be deployed; this artifact is of the type {parts.type}.")
    if parts.status != "uploaded":
        raise Conflict(f"The model is {parts.status.replace('_', ' ')}; deploy it when it is uploaded.")
    if not parts.paired:
        raise Conflict("The satellite has not paired yet; start it first.")
    able = parts.capabilities.get("deploy")
    if able is None:
        raise Conflict("The satellite does not deploy models.")
    check_kind(able, _traits(parts))


def _traits(parts: Any) -> ModelTraits:
    return ModelTraits(parts.variant or "", frozenset(parts.producer_tags or ()))


def deployment_by_id(db: Connection, deployment_id: Any, *, gone: bool = False) -> Deployment:
    """One deployment. Raises NotFound when it has been deleted meanwhile."""
    row = _BY_ID.one_or_none(db, deployment_id=deployment_id)
    if row is None or (row.status == "gone" and not gone):
        raise NotFound("There is no such deployment.")
    return _deployment_of(row)


def deployments_of_artifact(db: Connection, artifact_id: Any) -> Listed:
    """The deployments whose current revision serves an artifact, newest first."""
    return [_deployment_of(row) for row in _OF_ARTIFACT.all(db, artifact_id=artifact_id)]


def deployments_as_json(artifact_id: Any) -> Any:
    """A column for a list of artifacts: by name only, the deployments whose current revision serves each of them."""
    d, r = t.deployments, t.revisions
    fields = [part for name in DeploymentBase.__struct_fields__ for part in (literal(name, Text), d.c[name])]
    found = select(func.json_agg(func.json_build_object(*fields), type_=JSON))
    current = (d.c.revision_id == r.c.id) & (d.c.id == r.c.deployment_id)
    found = found.select_from(r.join(d, current)).where(d.c.status != "gone")
    return found.where(r.c.artifact_id == artifact_id).correlate(artifact_id.table).scalar_subquery()


def deployments_where(db: Connection, *conditions: Any, gone: bool = False) -> Listed:
    """The deployments that meet the conditions on deployments and their current revisions, newest first.

    Those deleted by force are there only with `gone`: for their satellite, which has to clean up after them.
    """
    return [_deployment_of(row) for row in db.execute(_query(*conditions, gone=gone))]


def _query(*conditions: Any, gone: bool) -> Select[Any]:
    d, s, r, a = t.deployments, t.satellites, t.revisions, t.artifacts
    return (
        select(
            d,
            s.c.name.label("satellite_name"),
            a.c.name.label("artifact_name"),
            a.c.file_name,
            a.c.collection_id,
            *(column.label(f"revision_{column.name}") for column in r.c if column.name not in {"id", "deployment_id"}),
        )
        .join(s, s.c.id == d.c.satellite_id)
        .join(r, (r.c.id == d.c.revision_id) & (r.c.deployment_id == d.c.id))
        .join(a, a.c.id == r.c.artifact_id)
        .where(*conditions, *([] if gone else [d.c.status != "gone"]))
        .order_by(d.c.created_at.desc(), d.c.id)
    )


_BY_ID = Prepared(_query(t.deployments.c.id == bindparam("deployment_id"), gone=True))
_OF_ARTIFACT = Prepared(_query(t.revisions.c.artifact_id == bindparam("artifact_id"), gone=False))
_SAME_NAME = tuple(
    name for name in Deployment.__struct_fields__ if name in t.deployments.c and name not in {"revision_id", "status"}
)


def _deployment_of(row: Any) -> Deployment:
    model = row.artifact_name or row.file_name
    return Deployment(
        **{name: getattr(row, name) for name in _SAME_NAME},
        status="deletion_pending" if row.status == "gone" else row.status,
        satellite_name=row.satellite_name or str(row.satellite_id),
        artifact_id=row.revision_artifact_id,
        artifact_name=model,
        collection_id=row.collection_id,
        model_id=row.revision_artifact_id,
        model_artifact_name=model,
        satellite_parameters=row.revision_parameters,
        env_variables=row.revision_env_variables,
        env_variables_secrets=row.revision_env_variables_secrets,
        revision=Revision(
            id=row.revision_id,
            number=row.revision_number,
            artifact_id=row.revision_artifact_id,
            digest=row.revision_digest,
            env_variables=row.revision_env_variables,
            parameters=row.revision_parameters,
        ),
    )
