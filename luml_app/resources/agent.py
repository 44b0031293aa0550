"""What a satellite asks and tells. It sees its own jobs and deployments, and what artifacts and secrets these need."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Text, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.operations import Resource, operation
from luml_app.core.references import uses_of_secret
from luml_app.jobs import queue
from luml_app.resources.artifacts import artifact_of, download_url
from luml_app.resources.changes import sent
from luml_app.resources.deployment_rows import deployment_by_id, deployments_where
from luml_app.resources.desired import desire
from luml_app.resources.progress import after_report, knows_what_is_desired, note_served
from luml_app.resources.satellites import satellite_of
from luml_app.resources.secrets import secret_of
from luml_app.resources.tasks import STATES, task_of
from luml_app.schemas.artifacts import SignedUrl
from luml_app.schemas.deployments import Deployment, DeploymentReport, DeploymentStatusReport
from luml_app.schemas.errors import Conflict
from luml_app.schemas.fields import Wait
from luml_app.schemas.rollouts import RollbackReport
from luml_app.schemas.satellites import (
    ArtifactForSatellite,
    InferenceAccess,
    InferenceAccessAnswer,
    Satellite,
    SatellitePair,
    SatelliteSession,
    SessionOpen,
    Task,
    TaskRenew,
    TaskStatus,
    TaskUpdate,
)
from luml_app.schemas.secrets import Secret

# Whoever is in an orbit may read its deployments (`deployment:read`), and a log is a part of one.
_OPENED_BY = {"inference": ["inference"], "logs": ["api", "logs"]}
_LOST = "The task is not leased to you (any more)."


class Agent(Resource):
    """The satellite's own door to the registry."""

    @operation("POST /satellites/v1/pair", by="satellite")
    def pair(self, body: SatellitePair) -> Satellite:
        """Say at each start where one serves and what one can do."""
        s = t.satellites
        known = {"base_url": body.base_url, "capabilities": body.capabilities, "slug": body.slug}
        now = {"paired": True, "last_seen_at": func.now(), "updated_at": func.now()}
        row = self.db.execute(update(s).where(s.c.id == self.scope.caller.id).values(**known, **now).returning(s)).one()
        self.scope.record("satellite.pair", row.id, satellite_id=row.id, after={"base_url": body.base_url})
        return satellite_of(row, self.scope)

    @operation("POST /satellites/v1/session", by="satellite")
    def open_session(self, body: SessionOpen) -> SatelliteSession:
        """Be the one instance of this satellite that works, or go on being it; refused while another one is.

        Instances share the satellite's key. One that is refused stands by, and asks again: the session of one that does
        not renew it ends after `lease_seconds`.
        """
        s, before = t.satellites, self.scope.caller.session_instance
        free = s.c.session_instance.is_(None) | (s.c.session_instance == body.instance)
        mine = update(s).where(s.c.id == self.scope.caller.id, free | (s.c.session_expires_at <= func.now()))
        until = func.now() + timedelta(seconds=body.lease_seconds)
        opened = mine.values(session_instance=body.instance, session_expires_at=until).returning(s.c.session_expires_at)
        expires_at = self.db.scalar(opened)
        if expires_at is None:
            raise Conflict(f"The instance {before} of this satellite is at work; stand by until its session ends.")
        predecessor = before if before != body.instance else None
        if before != body.instance:
            told = {"before": {"instance": before}, "after": {"instance": body.instance}}
            self.scope.record("satellite.session", self.scope.caller.id, satellite_id=self.scope.caller.id, **told)
        return SatelliteSession(instance=body.instance, expires_at=expires_at, predecessor=predecessor)

    @operation("DELETE /satellites/v1/session", by="satellite", status=204)
    def close_session(self, instance: str) -> None:
        """Work no more, so that another instance of this satellite may at once."""
        s = t.satellites
        mine = update(s).where(s.c.id == self.scope.caller.id, s.c.session_instance == instance)
        if self.db.execute(mine.values(session_instance=None, session_expires_at=None)).rowcount:
            told = {"before": {"instance": instance}, "after": {"instance": None}}
            self.scope.record("satellite.session", self.scope.caller.id, satellite_id=self.scope.caller.id, **told)

    @operation("GET /satellites/v1/tasks", by="satellite", wakes_on="deployment.")
    def tasks(self, status: TaskStatus | None = None, wait: Wait = 0) -> list[Task]:
        """One's tasks; with ``status=pending`` those to claim now. `wait`: seconds to wait for one to come."""
        me, j = self.scope.caller.id, t.jobs
        if status == "pending":
            return [task_of(row, status="pending") for row in queue.waiting(self.db, me)]
        query = select(j).where(j.c.satellite_id == me).order_by(j.c.created_at.desc()).limit(100)
        if status is not None:
            query = query.where(j.c.state.in_(STATES[status]))
        return [task_of(row) for row in self.db.execute(query)]

    @operation("POST /satellites/v1/tasks/{task_id}/status", by="satellite")
    def update_task(self, body: TaskUpdate) -> Task:
        """``running`` claims a task, and a second claim is refused; ``done`` and ``failed`` end it."""
        job = self.scope.row(t.jobs)
        if body.status == "running":
            row = queue.claim(self.db, job.id, body.lease_seconds)
            refused = "Another worker has this task, or it has ended."
        elif body.status == "done":
            row, refused = queue.succeed(self.db, job.id, body.lease_token, body.result), _LOST
        elif body.status == "failed":
            transient = bool((body.result or {}).get("transient"))
            row, refused = queue.fail(self.db, job.id, body.lease_token, body.result, transient=transient), _LOST
        else:
            raise Conflict("A task cannot be made pending again; report it as failed.")
        if row is None:
            raise Conflict(refused)
        task = task_of(row, with_lease=body.status == "running")
        self.scope.record(f"task.{task.status}", job.id, satellite_id=job.satellite_id, after={"type": task.type})
        return task

    @operation("POST /satellites/v1/tasks/{task_id}/renew", by="satellite")
    def renew_task(self, body: TaskRenew) -> Task:
        """Keep a task that one has claimed for a while longer."""
        row = queue.renew(self.db, self.scope.row(t.jobs).id, body.lease_token, body.lease_seconds)
        if row is None:
            raise Conflict(_LOST)
        return task_of(row, with_lease=True)

    @operation("GET /satellites/v1/deployments", by="satellite")
    def deployments(self) -> list[Deployment]:
        """What shall run here, and what shall not run any more."""
        return deployments_where(self.db, t.deployments.c.satellite_id == self.scope.caller.id, gone=True)

    @operation("GET /satellites/v1/deployments/{deployment_id}", by="satellite")
    def deployment(self) -> Deployment:
        """One deployment."""
        return self._deployment()

    @operation("PATCH /satellites/v1/deployments/{deployment_id}", by="satellite")
    def update_deployment(self, body: DeploymentReport) -> Deployment:
        """Report what one observes. A report about an older generation than the desired one is refused."""
        return self._report(sent(body, t.deployments) | {"generation": body.generation})

    @operation("PATCH /satellites/v1/deployments/{deployment_id}/status", by="satellite")
    def update_deployment_status(self, body: DeploymentStatusReport) -> Deployment:
        """Report the status alone."""
        return self._report({"status": body.status, "generation": None})

    @operation("POST /satellites/v1/deployments/{deployment_id}/rollback", by="satellite")
    def roll_back(self, body: RollbackReport) -> Deployment:
        """Take the new revision of a rollout back, because it does not keep to its bounds; the stable one serves all.

        Refused when something else is desired meanwhile than at `generation`.
        """
        one = self.scope.row(t.deployments)
        if one.generation != body.generation or one.stable_id is None or one.desired != "running":
            raise Conflict("The deployment has been changed meanwhile; look again.")
        problem = {"reason": body.reason, "error": body.error}
        back = {"revision_id": one.stable_id, "stable_id": None, "rollout": None, "error_message": None}
        desire(self.db, one, taken_back={one.revision_id: problem}, **back)
        told = {"before": {"revision_id": str(one.revision_id)}, "after": {"revision_id": str(one.stable_id)}}
        why = f"{body.reason}: {body.error}"[:1000] if body.error else body.reason
        self.scope.record("deployment.rollback", one.id, satellite_id=one.satellite_id, why=why, **told)
        return self._deployment()

    @operation("DELETE /satellites/v1/deployments/{deployment_id}", by="satellite", status=204)
    def delete_deployment(self) -> None:
        """Confirm that a deployment that was to be deleted is gone."""
        one, d = self.scope.row(t.deployments), t.deployments
        gone = delete(d).where(d.c.id == one.id, d.c.desired == "deleted").returning(d.c.id)
        if self.db.execute(gone).one_or_none() is None:
            raise Conflict("Nobody has asked to delete this deployment.")
        self.scope.record("deployment.gone", one.id, satellite_id=one.satellite_id, before={"name": one.name})

    @operation("POST /satellites/v1/deployments/inference-access", by="satellite")
    def inference_access(self, body: InferenceAccess) -> InferenceAccessAnswer:
        """Whether an API key that somebody has sent opens the deployments here: their models, or their logs."""
        k, u, om, mine = t.api_keys, t.users, t.organization_members, t.orbit_members
        hashes = self.scope.keys.hashes(body.api_key)
        here = (mine.c.user_id == k.c.user_id) & (mine.c.orbit_id == self.scope.orbit_id)
        query = (
            select(k.c.id, k.c.key_hash)
            .join(u, (u.c.id == k.c.user_id) & u.c.disabled.is_(False))
            .join(om, (om.c.user_id == k.c.user_id) & (om.c.organization_id == self.scope.organization_id))
            .outerjoin(mine, here)
            .where(
                k.c.key_hash == func.any(func.cast(hashes, ARRAY(Text))),
                k.c.scopes.overlap(cast(_OPENED_BY[body.purpose], ARRAY(Text))),
                k.c.expires_at.is_(None) | (k.c.expires_at > func.now()),
                k.c.orbit_id.is_(None) | (k.c.orbit_id == self.scope.orbit_id),
                (om.c.role != "member") | mine.c.id.is_not(None),
            )
        )
        found = self.db.execute(query).one_or_none()
        if found is not None and not self.scope.keys.is_newest(found.key_hash):
            # Keys for inference come this way only; here is the one moment to hash them with the newest secret key.
            self.db.execute(update(k).where(k.c.id == found.id).values(key_hash=self.scope.keys.hash(body.api_key)))
        return InferenceAccessAnswer(authorized=found is not None)

    @operation("GET /satellites/v1/secrets", by="satellite")
    def secrets(self) -> list[Secret]:
        """The secrets that one's deployments refer to, with their values."""
        s, mine = t.orbit_secrets, t.deployments.c.satellite_id == self.scope.caller.id
        query = select(s).where(s.c.orbit_id == self.scope.orbit_id, uses_of_secret(s.c.id, mine).exists())
        return [self._secret(row) for row in self.db.execute(query.order_by(s.c.name, s.c.id))]

    @operation("GET /satellites/v1/secrets/{secret_id}", by="satellite")
    def secret(self) -> Secret:
        """A secret that a deployment here refers to, with its value."""
        return self._secret(self.scope.row(t.orbit_secrets))

    @operation("GET /satellites/v1/artifacts/{artifact_id}", by="satellite", whole=True)
    def artifact(self) -> ArtifactForSatellite:
        """An artifact that a deployment here refers to, with a signed address of its bytes."""
        one = self.scope.row(t.artifacts)
        artifact = artifact_of(one)
        return ArtifactForSatellite(artifact=artifact, model=artifact, url=download_url(self.scope, one))

    @operation("GET /satellites/v1/artifacts/{artifact_id}/download-url", by="satellite")
    def artifact_url(self) -> SignedUrl:
        """A signed address of the bytes of an artifact that a deployment here refers to."""
        return SignedUrl(url=download_url(self.scope, self.scope.row(t.artifacts)))

    @operation("GET /satellites/v1/model_artifacts/{model_artifact_id}", by="satellite", deprecated=True, whole=True)
    def model(self) -> ArtifactForSatellite:
        """The same as `agent.artifact`, under its old name."""
        return self.artifact()

    @operation("GET /satellites/v1/model_artifacts/{model_artifact_id}/download-url", by="satellite", deprecated=True)
    def model_url(self) -> SignedUrl:
        """The same as `agent.artifact_url`, under its old name."""
        return self.artifact_url()

    def _secret(self, row: Any) -> Secret:
        return secret_of(row, value=self.scope.keys.decrypt(row.value))

    def _deployment(self) -> Deployment:
        return deployment_by_id(self.db, self.scope.row(t.deployments).id, gone=True)

    def _report(self, report: dict[str, Any]) -> Deployment:
        one, d = self.scope.row(t.deployments), t.deployments
        generation: int | None = report.pop("generation")
        _check_status(one, report.get("status"))
        if one.status == "gone":
            report.pop("status", None)
        told = generation is not None or knows_what_is_desired(self.db, one)
        expected = d.c.generation == generation if generation is not None else d.c.desired == one.desired
        seen = {"observed_generation": d.c.generation} if told else {}
        moved = after_report(self.db, one, report) if told else {}
        changed = update(d).where(d.c.id == one.id, expected).values(**report, **seen, **moved, updated_at=func.now())
        changed = changed.returning(d.c.id)
        if told and report.get("status") == "active" and not report.get("error_message"):
            changed = changed.add_cte(note_served(one.revision_id).cte("served"))
        if self.db.execute(changed).one_or_none() is None:
            raise Conflict("The deployment has been changed meanwhile; look again.")
        before, after = difference(one.columns, {name: report[name] for name in _TOLD if name in report})
        if after:
            self.scope.record("deployment.report", one.id, satellite_id=one.satellite_id, before=before, after=after)
        return self._deployment()


_TOLD = ("status", "inference_url", "error_message")
_DELETION = {"deletion_pending", "deletion_failed"}


def _check_status(deployment: Any, reported: str | None) -> None:
    """A deletion is asked for by people and never overwritten."""
    if reported is None or (deployment.desired == "deleted") == (reported in _DELETION):
        return
    if reported in _DELETION:
        raise Conflict("Nobody has asked to delete this deployment.")
    raise Conflict("The deployment is to be deleted; only its deletion can be reported.")
