"""Enqueue, claim, renew, finish."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Connection,
    Double,
    Integer,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from luml_app.core.ids import new_id
from luml_app.core.tables import jobs

LEASE_WITHOUT_RENEWAL = 900.0
"""Seconds that a worker gets which does not say for how long it wants the job (older satellites do not renew)."""

# The conditions of the partial indexes, letter by letter: a parameter in their place fits no index once PostgreSQL has
# prepared the statement for any value, which is after a few executions on a connection.
_QUEUED = text("state = 'queued'")
_LIVE = text("jobs.state IN ('queued', 'leased')")
_ENDED = {"lease_token": None, "lease_expires_at": None, "updated_at": func.now()}
BACKOFF_SECONDS = (5.0, 15.0, 60.0, 300.0)


def new_job(
    kind: str, payload: dict[str, Any], *, dedupe_key: str, satellite_id: UUID, orbit_id: UUID
) -> dict[str, Any]:
    """The row of a new job."""
    place = {"satellite_id": satellite_id, "orbit_id": orbit_id}
    return {"id": new_id(), "type": kind, "payload": payload, "dedupe_key": dedupe_key, **place}


def enqueue(db: Connection, job: dict[str, Any]) -> Any:
    """Queue a job, or find the one that is queued already under the same dedupe key; the row of either."""
    return db.execute(queueing(job)).one()


def queueing(job: dict[str, Any]) -> Any:
    """The statement of `enqueue`, which returns the row."""
    new = insert(jobs).values(job)
    # What is asked for last counts, and at once: a deployment's job that is still queued, perhaps for another attempt
    # after a while, becomes the one that is wanted now.
    wanted = {
        "type": new.excluded.type,
        "payload": new.excluded.payload,
        "attempts": 0,
        "scheduled_at": func.now(),
        "updated_at": func.now(),
    }
    either = new.on_conflict_do_update(index_elements=["dedupe_key"], index_where=_QUEUED, set_=wanted)
    return either.returning(jobs)


def cancel_queued(db: Connection, dedupe_key: str, kind: str) -> None:
    """Cancel the queued job of this kind, if there is one."""
    waiting = and_(jobs.c.dedupe_key == dedupe_key, jobs.c.type == kind, jobs.c.state == "queued")
    db.execute(update(jobs).where(waiting).values(state="cancelled", finished_at=func.now(), updated_at=func.now()))


def _claimable() -> Any:
    """Due, or leased by a worker that let its lease run out; and nobody at work on the same thing."""
    other = jobs.alias("other")
    at_work = exists(
        select(1).where(
            other.c.dedupe_key == jobs.c.dedupe_key,
            other.c.id != jobs.c.id,
            other.c.state == "leased",
            other.c.lease_expires_at > func.now(),
        )
    )
    due = and_(jobs.c.state == "queued", jobs.c.scheduled_at <= func.now())
    lost = and_(jobs.c.state == "leased", jobs.c.lease_expires_at <= func.now())
    return and_(or_(due, lost), ~at_work)


def waiting(db: Connection, satellite_id: UUID, limit: int = 100) -> Iterable[Any]:
    """The jobs that this satellite could claim now, oldest first."""
    return db.execute(_WAITING, {"satellite": satellite_id, "most": limit}).all()


def claim(db: Connection, job_id: UUID, seconds: float | None) -> Any | None:
    """Lease a job; None when somebody else has it, or it has ended."""
    return db.execute(_CLAIM, {"job": job_id, "seconds": seconds or LEASE_WITHOUT_RENEWAL}).one_or_none()


def _lease(seconds: float) -> dict[str, Any]:
    return {
        "state": "leased",
        "lease_token": new_id(),
        "lease_expires_at": func.now() + timedelta(seconds=seconds),
        "attempts": jobs.c.attempts + 1,
        "started_at": func.coalesce(jobs.c.started_at, func.now()),
        "updated_at": func.now(),
    }


def claim_chore(db: Connection, seconds: float, kinds: Sequence[str]) -> Any | None:
    """Lease the server's own job of these kinds that has been due for longest; None when there is none."""
    _bury_chores(db)
    j = jobs
    due = select(j.c.id).where(j.c.satellite_id.is_(None), j.c.type.in_(kinds), _LIVE, _claimable())
    first = due.order_by(j.c.scheduled_at, j.c.id).limit(1).with_for_update(skip_locked=True)
    lease = _lease(seconds)
    return db.execute(update(j).where(j.c.id == first.scalar_subquery()).values(lease).returning(j)).one_or_none()


def live_keys(db: Connection, keys: Sequence[str]) -> set[str]:
    """Which of these dedupe keys have a job that is queued or leased."""
    return set(db.scalars(select(jobs.c.dedupe_key).where(_LIVE, jobs.c.dedupe_key.in_(keys))))


def seconds_until_chore(db: Connection, kinds: Sequence[str]) -> float:
    """How long until the next of the server's queued jobs is due; infinity when none waits."""
    waiting = (jobs.c.satellite_id.is_(None), jobs.c.type.in_(kinds), _LIVE, jobs.c.state == "queued")
    seconds = db.scalar(select(func.extract("epoch", func.min(jobs.c.scheduled_at) - func.now())).where(*waiting))
    return math.inf if seconds is None else max(0.05, float(seconds))


def _bury_chores(db: Connection) -> None:
    """End the lost leases of chores that have been tried as often as they may be, or are queued anew."""
    newer = jobs.alias("newer")
    exhausted = jobs.c.attempts >= jobs.c.max_attempts
    superseded = exists(select(1).where(newer.c.dedupe_key == jobs.c.dedupe_key, newer.c.state == "queued"))
    lost = and_(jobs.c.satellite_id.is_(None), jobs.c.state == "leased", jobs.c.lease_expires_at <= func.now())
    end = {**_ENDED, "state": case((exhausted, "dead"), else_="cancelled"), "finished_at": func.now()}
    db.execute(update(jobs).where(lost, _LIVE, or_(exhausted, superseded)).values(end))


def renew(db: Connection, job_id: UUID, token: UUID, seconds: float) -> Any | None:
    """Keep a lease for another `seconds`; None when it is lost."""
    return db.execute(_RENEW, {"job": job_id, "token": token, "seconds": seconds}).one_or_none()


def succeed(db: Connection, job_id: UUID, token: UUID | None, result: Any) -> Any | None:
    """End a job well; None when the lease is lost."""
    return db.execute(_SUCCEED, {"job": job_id, "token": token, "told": result}).one_or_none()


def fail(
    db: Connection,
    job_id: UUID,
    token: UUID | None,
    result: Any,
    *,
    transient: bool = False,
    pauses: Sequence[float] = BACKOFF_SECONDS,
) -> Any | None:
    """End a job badly, or, if `transient`, queue it again after a pause; None when the lease is lost.

    `pauses` are the seconds after the first, second … attempt; the last one stands for all further ones.
    """
    how = {"transient": transient, "pauses": list(pauses)}
    return db.execute(_FAIL, {"job": job_id, "token": token, "told": result, **how}).one_or_none()


def _call(function: str, **parameters: Any) -> Any:
    """A call of one of the functions that hold the rules (see the migration of the direct door), giving rows of jobs.

    They are functions of the database because satellites with a login of their own call them, too.
    """
    columns = ", ".join(column.name for column in jobs.c)
    arguments = ", ".join(f":{name}" for name in parameters)
    called = text(f"SELECT {columns} FROM {function}({arguments})")  # noqa: S608 (names of ours)
    return called.bindparams(*(bindparam(name, type_=kind) for name, kind in parameters.items())).columns(*jobs.c)


_WAITING = _call("jobs_waiting", satellite=Uuid, most=Integer)
_CLAIM = _call("job_claim", job=Uuid, seconds=Double)
_RENEW = _call("job_renew", job=Uuid, token=Uuid, seconds=Double)
_SUCCEED = _call("job_succeed", job=Uuid, token=Uuid, told=jobs.c.result.type)
_FAIL = _call(
    "job_fail", job=Uuid, token=Uuid, told=jobs.c.result.type, transient=Boolean, pauses=ARRAY(Double)
)  # fmt: skip
