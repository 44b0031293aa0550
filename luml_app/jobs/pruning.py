"""Old jobs are forgotten: the audit log tells of what they did, not the job table."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func, select

from luml_app.core.tables import jobs
from luml_app.jobs.chores import Errand, chore

KEPT = timedelta(days=30)
_AT_ONCE = 5_000


@chore("jobs.prune", every=6 * 3600)
def prune_jobs(errand: Errand) -> int:
    """Delete the jobs that ended long ago, some thousands in each transaction; how many those were."""
    old = select(jobs.c.id).where(jobs.c.finished_at < func.now() - KEPT).limit(_AT_ONCE)
    total = 0
    while not errand.is_lost():
        with errand.database.write() as db:
            deleted = db.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount
        total += deleted
        if deleted < _AT_ONCE:
            break
    return total
