"""Chores: jobs of the server itself. Queued in the transaction of the change that makes them necessary, so that what
must follow a change follows it, whatever happens to the process in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from luml_app.core.db import CHANNEL, Database
from luml_app.core.events import Notice
from luml_app.core.ids import new_id
from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.core.tables import jobs
from luml_app.jobs.queue import BACKOFF_SECONDS
from luml_app.schemas.errors import LumlError

QUEUED = "chore.queued"
"""The action of the notice that wakes housekeepers."""


class Hopeless(LumlError):  # noqa: N818
    """This chore cannot succeed, however often it is tried."""


@dataclass(frozen=True)
class Errand:
    """What a chore's function gets: its `payload`, the means, and which attempt this is (1 for the first).

    It opens transactions of its own, as many as it likes, and may be killed between any two of them: it is then run
    again from the start, so it must find out for itself what is left to do.
    """

    payload: dict[str, Any]
    database: Database
    keys: Keys
    settings: Settings
    attempt: int = 1
    is_lost: Callable[[], bool] = field(default=lambda: False)
    """Whether the lease is lost, and with it the right to go on; long errands ask between their steps."""


@dataclass(frozen=True)
class Chore:
    """One kind of work of the server.

    `run` does it; what it returns is kept as the job's result, and an error means another attempt, after `pauses`
    (seconds), `attempts` in all; `Hopeless` ends it at once. `every`: seconds from the end of one run to the beginning
    of the next, for what is to be done again and again.
    """

    kind: str
    run: Callable[[Errand], Any]
    every: float | None = None
    attempts: int = 5
    pauses: tuple[float, ...] = BACKOFF_SECONDS


def chore(kind: str, **facts: Any) -> Callable[[Callable[[Errand], Any]], Chore]:
    """Make a function a chore: ``@chore("artifact.purge", attempts=20)``; the name then means the chore."""
    return lambda run: Chore(kind, run, **facts)


def queue_chore(
    db: Connection,
    what: Chore,
    payload: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    pause: timedelta = timedelta(),
) -> None:
    """Queue a chore in the caller's transaction: one statement, which also wakes the housekeepers.

    Of chores with one `key` (without one, each is alone) only one waits at a time: a second finds the first and leaves
    it as it is. Not before a `pause`, by the database's clock: it is the one that all server processes have in common.
    """
    job_id = new_id()
    row = {
        "id": job_id,
        "type": what.kind,
        "payload": dict(payload or {}),
        "dedupe_key": f"{what.kind}:{key or job_id}",
        "max_attempts": what.attempts,
        "scheduled_at": func.now() + pause,
    }
    new = insert(jobs).values(row)
    waiting = new.on_conflict_do_nothing(index_elements=["dedupe_key"], index_where=text("state = 'queued'"))
    written = waiting.returning(jobs.c.id).cte()
    notice = msgspec.json.encode(Notice(action=QUEUED)).decode()
    db.execute(select(func.pg_notify(CHANNEL, notice)).select_from(written))
