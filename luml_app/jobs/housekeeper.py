"""The housekeeper does the server's chores, in threads of its own and on connections of its own, so that no request
waits for it. Every server process has one; the job table sees to it that each chore is done once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from luml_app.core.db import Database
from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.jobs import queue
from luml_app.jobs.chores import Chore, Errand, Hopeless, queue_chore
from luml_app.jobs.workers import Workers
from luml_app.schemas.errors import LumlError

log = logging.getLogger(__name__)
WORKERS = 3
LEASE_SECONDS = 60.0


class Housekeeper(Workers):
    """Does `chores`. `start` and `stop` for a server; `run_due` for whoever wants it done now and to its end."""

    def __init__(self, database: Database, keys: Keys, settings: Settings, chores: Iterable[Chore]) -> None:
        super().__init__("luml-chores", Database(database.url, pool_size=WORKERS + 1), WORKERS)
        self.chores = {chore.kind: chore for chore in chores}
        self.settings = settings
        self._keys = keys

    def plan(self, pause: float = 0.0) -> None:
        """Queue each recurring chore that neither waits nor is being done, for in so many seconds."""
        recurring = {f"{chore.kind}:recurring": chore for chore in self.chores.values() if chore.every is not None}
        with self.database.write() as db:
            for key in recurring.keys() - queue.live_keys(db, list(recurring)):
                queue_chore(db, recurring[key], key="recurring", pause=timedelta(seconds=pause))

    def until_next(self) -> float:
        """Seconds until the next chore is due."""
        with self.database.read() as db:
            return queue.seconds_until_chore(db, list(self.chores))

    def do_next(self) -> bool:
        """Claim one chore and do it; whether there was one."""
        try:
            with self.database.write() as db:
                job = queue.claim_chore(db, LEASE_SECONDS, list(self.chores))
        except IntegrityError:
            return True  # somebody else has claimed one of the same key in this very moment
        if job is None:
            return False
        chore = self.chores[job.type]
        with self._leased(job) as lost:
            errand = Errand(job.payload, self.database, self._keys, self.settings, job.attempts, lost.is_set)
            self._do(chore, job, errand)
        return True

    def _do(self, chore: Chore, job: Any, errand: Errand) -> None:
        try:
            result = chore.run(errand)
        except Hopeless as error:
            log.error("%s is given up: %s", chore.kind, error)
            self._end(chore, job, {"error": error.message}, succeeded=False)
        except Exception as error:
            known = isinstance(error, LumlError)
            log.warning(
                "%s failed (attempt %d of %d): %s",
                chore.kind,
                job.attempts,
                job.max_attempts,
                error,
                exc_info=not known,
            )
            self._end(chore, job, {"error": str(error)[:1000]}, succeeded=False, again=True)
        else:
            self._end(chore, job, {"result": result}, succeeded=True)

    def _end(self, chore: Chore, job: Any, told: Any, *, succeeded: bool, again: bool = False) -> None:
        with self.database.write() as db:
            if succeeded:
                row = queue.succeed(db, job.id, job.lease_token, told)
            else:
                row = queue.fail(db, job.id, job.lease_token, told, transient=again, pauses=chore.pauses)
            if chore.every is not None and row is not None and row.state != "queued":
                queue_chore(db, chore, key="recurring", pause=timedelta(seconds=chore.every))

    @contextmanager
    def _leased(self, job: Any) -> Iterator[threading.Event]:
        """Keep the job's lease while the block runs; the event is set when it was lost all the same."""
        ended, lost = threading.Event(), threading.Event()
        keeper = threading.Thread(target=self._keep, args=(job, ended, lost), name="luml-lease", daemon=True)
        keeper.start()
        try:
            yield lost
        finally:
            ended.set()
            keeper.join()

    def _keep(self, job: Any, ended: threading.Event, lost: threading.Event) -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            try:
                with self.database.write() as db:
                    if queue.renew(db, job.id, job.lease_token, LEASE_SECONDS) is None:
                        lost.set()
                        return
            except (LumlError, SQLAlchemyError) as error:
                log.warning("The lease of %s could not be renewed: %s", job.type, error)
