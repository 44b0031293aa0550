"""How a rollout goes on: what begins one, what a satellite's report does to it, and its steps by the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, func, select, text, update

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.jobs.chores import Errand, chore, queue_chore
from luml_app.resources.desired import desire
from luml_app.schemas.errors import Conflict
from luml_app.schemas.revisions import Rollout, RolloutStep
from luml_app.schemas.rollouts import RolloutCreate

WATCHED_SECONDS = 60
"""How long the revision before stands by when the new one has bounds to keep to and no steps of its own."""
LOOK_AGAIN = timedelta(seconds=15)


def planned(body: RolloutCreate | None) -> Rollout:
    """The rollout that is asked for, at its first step; without one, all at once."""
    if body is None:
        return Rollout()
    steps = list(body.steps)
    if body.bounds and not steps and body.weight == 100 and not body.mirror:
        steps = [RolloutStep(weight=100, seconds=WATCHED_SECONDS)]
    weight = steps[0].weight if steps else body.weight
    return Rollout(weight=weight, mirror=body.mirror, steps=steps, bounds=body.bounds)


def at_once(rollout: Rollout) -> bool:
    """Whether it is done as soon as the new revision serves."""
    last = rollout.step >= len(rollout.steps) - 1
    held = rollout.steps[rollout.step].seconds if rollout.steps else 0
    return rollout.weight == 100 and not rollout.mirror and last and not held


def beginning(one: Any, revision_id: UUID, rollout: Rollout, *, served: bool) -> dict[str, Any]:
    """What is desired while `revision_id` takes the place of the one there is; `served`: that one has ever served.

    Raises Conflict for a share when nothing serves the rest.
    """
    stable_id = one.stable_id or (one.revision_id if served else None)
    if one.desired != "running" or stable_id == revision_id:
        stable_id = None
    if stable_id is None and (rollout.mirror or rollout.weight < 100):
        raise Conflict("No other revision serves the rest of the requests; send them all to the new one (weight 100).")
    status = {"status": "pending"} if one.status == "failed" else {}
    return {
        "revision_id": revision_id,
        "stable_id": stable_id,
        "rollout": None if stable_id is None else msgspec.to_builtins(rollout),
        "error_message": None,
        **status,
    }


def after_report(db: Connection, one: Any, report: dict[str, Any]) -> dict[str, Any]:
    """What follows from a report on the deployment `one` (its row before): the columns to write beside it.

    The first report that a generation serves ends the rollout, or starts the clock of its step.
    """
    if report.get("status") != "active" or report.get("error_message") or one.rollout is None:
        return {}
    rollout = msgspec.convert(one.rollout, Rollout)
    if at_once(rollout):
        return {"stable_id": None, "rollout": None}
    if rollout.steps and one.observed_generation < one.generation:
        _queue(db, one.id, one.generation, timedelta(seconds=rollout.steps[rollout.step].seconds))
    return {}


def knows_what_is_desired(db: Connection, one: Any) -> bool:
    """Whether a report that names no generation is about the present one of the deployment `one`; locks its row.

    Satellites that count no generations look at a deployment after they have claimed its job. While the job of a change
    waits to be claimed, or when the change comes in this moment, they still speak of what was desired before.
    """
    d, j = t.deployments, t.jobs
    waits = select(j.c.id).where(j.c.dedupe_key == f"deployment:{one.id}", text("jobs.state = 'queued'")).exists()
    row = db.execute(select(d.c.generation, waits.label("waits")).where(d.c.id == one.id).with_for_update()).one()
    return bool(row.generation == one.generation and not row.waits)


def note_served(revision_id: UUID) -> Any:
    """The statement that keeps when a revision was first seen to serve."""
    r = t.revisions
    return update(r).where(r.c.id == revision_id, r.c.served_at.is_(None)).values(served_at=func.now())


def _queue(db: Connection, deployment_id: UUID, generation: int, pause: timedelta) -> None:
    payload = {"deployment_id": str(deployment_id), "generation": generation}
    queue_chore(db, advance_rollout, payload, key=f"{deployment_id}:{generation}", pause=pause)


@chore("deployment.advance")
def advance_rollout(errand: Errand) -> str:
    """Take the next step of a rollout, if the present one still holds and all is well; returns what was done."""
    deployment_id, generation = UUID(errand.payload["deployment_id"]), errand.payload["generation"]
    with errand.database.write() as db:
        one = db.execute(rows_with_place().where(t.deployments.c.id == deployment_id)).one_or_none()
        if one is None or one.generation != generation or one.rollout is None or one.desired != "running":
            return "changed meanwhile"
        if one.status != "active" or one.error_message:
            _queue(db, one.id, generation, LOOK_AGAIN)
            return "not all is well; looking again"
        rollout = msgspec.convert(one.rollout, Rollout)
        return _step(db, one, rollout)


def _step(db: Connection, one: Any, rollout: Rollout) -> str:
    following = rollout.step + 1
    if following < len(rollout.steps):
        weight = rollout.steps[following].weight
        moved = msgspec.structs.replace(rollout, step=following, weight=weight, mirror=False)
        desire(db, one, rollout=msgspec.to_builtins(moved))
        record(db, "deployment.rollout", one, before={"weight": rollout.weight}, after={"weight": weight})
        return f"{weight} %"
    if rollout.weight == 100 and not rollout.mirror:
        desire(db, one, stable_id=None, rollout=None)
        record(db, "deployment.rolled_out", one, after={"revision_id": str(one.revision_id)})
        return "done"
    return "the last step; the rest is for people"


def rows_with_place() -> Select[Any]:
    """Deployments that are not deleted, with the organization that they belong to; locked."""
    d, o = t.deployments, t.orbits
    query = select(d, o.c.organization_id).join(o, o.c.id == d.c.orbit_id)
    return query.where(d.c.desired != "deleted").with_for_update(of=d)


def record(db: Connection, action: str, one: Any, **columns: Any) -> None:
    """Write the event of a change that the server has made by itself to a row of `rows_with_place`."""
    place = {"organization_id": one.organization_id, "orbit_id": one.orbit_id, "satellite_id": one.satellite_id}
    events.record(db, action, object_id=one.id, actor_kind="server", **place, **columns)
