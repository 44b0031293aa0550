"""What is desired of a deployment, and how that is changed: one statement, which also queues the job that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, literal, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.jobs.queue import cancel_queued, enqueue, new_job, queueing
from luml_app.schemas.errors import Conflict, NotFound


def deployment_job(deployment_id: Any, kind: str, *, satellite_id: Any, orbit_id: Any) -> dict[str, Any]:
    """The row of a job for a deployment; at most one of them is queued and one leased at a time."""
    payload = {"deployment_id": str(deployment_id)}
    key = f"deployment:{deployment_id}"
    return new_job(kind, payload, dedupe_key=key, satellite_id=satellite_id, orbit_id=orbit_id)


def desire(
    db: Connection,
    one: Any,
    *,
    revision: dict[str, Any] | None = None,
    taken_back: Mapping[UUID, dict[str, Any]] | None = None,
    **wanted: Any,
) -> None:
    """Change what is wanted of the deployment `one` (its row), as a new generation.

    `revision` is the row of a new one, `taken_back` says of revisions why they are. Raises Conflict when somebody else
    has changed the deployment since the row was read: what was decided on it may not hold any more.
    """
    d = t.deployments
    unchanged = (d.c.id == one.id, d.c.generation == one.generation, d.c.desired != "deleted")
    new = {"generation": d.c.generation + 1, "updated_at": func.now(), **wanted}
    changed = update(d).where(*unchanged).values(new).returning(d.c.id).cte("changed")
    job = queueing(deployment_job(one.id, "deploy", satellite_id=one.satellite_id, orbit_id=one.orbit_id)).cte("job")
    query = select(changed.c.id).add_cte(job)
    if revision is not None:
        query = query.add_cte(_inserted(one.id, revision, changed))
    for number, (revision_id, problem) in enumerate((taken_back or {}).items()):
        marked = update(t.revisions).where(t.revisions.c.id == revision_id).values(problem=problem)
        query = query.add_cte(marked.returning(t.revisions.c.id).cte(f"marked_{number}"))
    if db.execute(query).one_or_none() is None:
        raise Conflict("Somebody else has changed the deployment in this moment; look at it again.")


def _inserted(deployment_id: UUID, revision: dict[str, Any], changed: Any) -> Any:
    """The new revision, with the next number; only if the deployment has been changed."""
    r = t.revisions
    last = select(func.max(r.c.number)).where(r.c.deployment_id == deployment_id).scalar_subquery()
    row: dict[str, Any] = {name: literal(value, r.c[name].type) for name, value in revision.items()}
    row |= {"deployment_id": changed.c.id, "number": last + 1}
    return insert(r).from_select(list(row), select(*row.values()), include_defaults=False).cte("made")


def take_down(db: Connection, one: Any, status: str = "deletion_pending") -> Any:
    """Have its satellite take a deployment down; the job that does it. ``gone`` does not wait for the satellite."""
    d = t.deployments
    wanted = {"desired": "deleted", "status": status, "generation": d.c.generation + 1, "updated_at": func.now()}
    asked_before = (d.c.desired == "deleted") & (d.c.status != "deletion_failed") & (status != "gone")
    db.execute(update(d).where(d.c.id == one.id, ~asked_before).values(**wanted))
    cancel_queued(db, f"deployment:{one.id}", "deploy")
    return enqueue(db, deployment_job(one.id, "undeploy", satellite_id=one.satellite_id, orbit_id=one.orbit_id))


def revision_row(artifact: Any, user_id: UUID | None, **spec: Any) -> dict[str, Any]:
    """The row of a new revision, but for its number: `spec` holds parameters and environment."""
    digest, made = {"digest": artifact.file_hash}, {"created_by_id": user_id}
    return {"id": new_id(), "artifact_id": artifact.id, **digest, **spec, **made}


def check_alive(one: Any) -> None:
    """Raise Conflict for a deployment that is being deleted, NotFound for a tombstone."""
    if one.status == "gone":
        raise NotFound("There is no such deployment.")
    if one.desired == "deleted":
        raise Conflict("The deployment is being deleted; create another one.")
