"""Enqueue, claim, renew, finish."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, case, exists, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

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
    query = select(jobs).where(jobs.c.satellite_id == satellite_id, _LIVE, _claimable())
    return db.execute(query.order_by(jobs.c.scheduled_at, jobs.c.id).limit(limit)).all()


def claim(db: Connection, job_id: UUID, seconds: float | None) -> Any | None:
    """Lease a job; None when somebody else has it, or it has ended."""
    _bury(db, job_id)
    locked = select(jobs.c.id).where(jobs.c.id == job_id, _claimable()).with_for_update(skip_locked=True)
    lease = _lease(seconds or LEASE_WITHOUT_RENEWAL)
    return db.execute(update(jobs).where(jobs.c.id.in_(locked)).values(lease).returning(jobs)).one_or_none()


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


def _bury(db: Connection, job_id: UUID) -> None:
    """End what a worker has left lying on the way to this job: a lost lease of the same thing, which this job
    supersedes if it waits; or the job itself, when it was lost as often as it may be tried: it seems to kill its
    workers.
    """
    newer = select(jobs.c.dedupe_key).where(jobs.c.id == job_id, jobs.c.state == "queued").scalar_subquery()
    exhausted = jobs.c.attempts >= jobs.c.max_attempts
    lost = and_(jobs.c.state == "leased", jobs.c.lease_expires_at <= func.now())
    end = {**_ENDED, "state": case((exhausted, "dead"), else_="cancelled"), "finished_at": func.now()}
    which = or_(jobs.c.dedupe_key == newer, and_(jobs.c.id == job_id, exhausted))
    db.execute(update(jobs).where(lost, which).values(end))


def _held(job_id: UUID, token: UUID | None) -> Any:
    mine = and_(jobs.c.id == job_id, jobs.c.state == "leased")
    return mine if token is None else and_(mine, jobs.c.lease_token == token)


def renew(db: Connection, job_id: UUID, token: UUID, seconds: float) -> Any | None:
    """Keep a lease for another `seconds`; None when it is lost."""
    until = func.now() + timedelta(seconds=seconds)
    return db.execute(
        update(jobs).where(_held(job_id, token)).values(lease_expires_at=until).returning(jobs)
    ).one_or_none()


def succeed(db: Connection, job_id: UUID, token: UUID | None, result: Any) -> Any | None:
    """End a job well; None when the lease is lost."""
    end = {**_ENDED, "state": "succeeded", "result": result, "finished_at": func.now()}
    return db.execute(update(jobs).where(_held(job_id, token)).values(end).returning(jobs)).one_or_none()


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
    end: dict[str, Any] = {**_ENDED, "state": "failed", "result": result, "finished_at": func.now()}
    if transient:
        newer = jobs.alias("newer")
        superseded = exists(select(1).where(newer.c.dedupe_key == jobs.c.dedupe_key, newer.c.state == "queued"))
        last = jobs.c.attempts >= jobs.c.max_attempts
        pause = case(
            *((jobs.c.attempts <= tries, literal(timedelta(seconds=s))) for tries, s in enumerate(pauses, 1)),
            else_=literal(timedelta(seconds=pauses[-1])),
        )
        end |= {
            "state": case((last, "dead"), (superseded, "cancelled"), else_="queued"),
            "finished_at": case((last | superseded, func.now())),
            "scheduled_at": func.now() + pause,
        }
    return db.execute(update(jobs).where(_held(job_id, token)).values(end).returning(jobs)).one_or_none()
