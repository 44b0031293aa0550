"""A secret has a new value: the deployments that use it take it over."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from luml_app.core import tables as t
from luml_app.core.references import holds, uses_of_secret
from luml_app.jobs.chores import Errand, chore
from luml_app.jobs.queue import enqueue
from luml_app.resources.desired import deployment_job, desire
from luml_app.resources.progress import record, rows_with_place

WHY = "a secret has a new value"


@chore("secret.renew")
def renew_secret(errand: Errand) -> int:
    """Have the deployments that use a secret take its new value; how many those are.

    Variables of the environment need new replicas; the secrets of dynamic attributes are handed to those that run. A
    deployment that has been told of this version already, by an earlier run of this chore that was killed, is left be.
    """
    secret_id = UUID(errand.payload["secret_id"])
    with errand.database.read() as db:
        users = [row.id for row in db.execute(uses_of_secret(secret_id, t.deployments.c.desired == "running"))]
    return sum(_renew(errand, one, secret_id) for one in users)


def _renew(errand: Errand, deployment_id: UUID, secret_id: UUID) -> bool:
    d, r = t.deployments, t.revisions
    serving = (r.c.deployment_id == d.c.id) & r.c.id.in_([d.c.revision_id, d.c.stable_id])
    started_with = select(r.c.id).where(serving, holds(r.c.env_variables_secrets, secret_id)).exists()
    handed = holds(d.c.dynamic_attributes_secrets, secret_id)
    version = select(t.orbit_secrets.c.version).where(t.orbit_secrets.c.id == secret_id).scalar_subquery()
    facts = (started_with.label("started_with"), handed.label("handed"), version.label("version"))
    with errand.database.write() as db:
        one = db.execute(rows_with_place().add_columns(*facts).where(d.c.id == deployment_id)).one_or_none()
        if one is None or one.desired != "running" or not (one.started_with or one.handed):
            return False
        if one.secrets_taken.get(str(secret_id)) == one.version:
            return False
        _take_over(db, one, {**one.secrets_taken, str(secret_id): one.version})
    return True


def _take_over(db: Connection, one: Any, taken: dict[str, int]) -> None:
    d = t.deployments
    newer = {"secrets_version": one.secrets_version + 1, "secrets_taken": taken}
    if one.started_with:
        desire(db, one, restarts=one.restarts + 1, **newer)
        record(db, "deployment.restart", one, after={"name": one.name}, why=WHY)
        return
    db.execute(update(d).where(d.c.id == one.id).values(updated_at=func.now(), **newer))
    enqueue(db, deployment_job(one.id, "deploy", satellite_id=one.satellite_id, orbit_id=one.orbit_id))
    record(db, "deployment.secrets", one, after={"name": one.name}, why=WHY)
