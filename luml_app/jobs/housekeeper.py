"""The housekeeper does the server's chores, in threads of its own and on connections of its own, so that no request
waits for it. Every server process has one; the job table sees to it that each chore is done once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from luml_app.core.db import Database
from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.jobs import queue
from luml_app.jobs.chores import Chore, Errand, Hopeless, queue_chore
from luml_app.schemas.errors import LumlError

log = logging.getLogger(__name__)
WORKERS = 3
LEASE_SECONDS = 60.0
LOOK_SECONDS = 30.0
"""How often to look without having been told: the net below notifications, and for what is due later."""


class Housekeeper:
    """Does `chores`. `start` and `stop` for a server; `run_due` for whoever wants it done now and to its end."""

    def __init__(self, database: Database, keys: Keys, settings: Settings, chores: Iterable[Chore]) -> None:
        self.chores = {chore.kind: chore for chore in chores}
        self.settings = settings
        self._keys = keys
        self._database = Database(database.url, pool_size=WORKERS + 1)
        self._bell = threading.Condition()
        self._rings = 0
        self._stopping = threading.Event()
        self._workers = [
            threading.Thread(target=self._work, name=f"luml-chores-{number}", daemon=True) for number in range(WORKERS)
        ]

    def start(self) -> None:
        """Begin."""
        for worker in self._workers:
            worker.start()

    def wake(self) -> None:
        """Look at once: something may have been queued."""
        with self._bell:
            self._rings += 1
            self._bell.notify_all()

    def stop(self, seconds: float = 5.0) -> None:
        """End. A chore that does not end within `seconds` is left to its lease, and done by the next housekeeper."""
        self._stopping.set()
        self.wake()
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(0.0, deadline - time.monotonic()))
        self._database.close()

    def plan(self) -> None:
        """Queue each recurring chore that neither waits nor is being done."""
        recurring = {f"{chore.kind}:recurring": chore for chore in self.chores.values() if chore.every is not None}
        with self._database.write() as db:
            for key in recurring.keys() - queue.live_keys(db, list(recurring)):
                queue_chore(db, recurring[key], key="recurring")

    def run_due(self) -> int:
        """Do what is due, in the caller's thread; how many chores that were."""
        done = 0
        while self._do_next():
            done += 1
        return done

    def _work(self) -> None:
        while not self._stopping.is_set():
            heard, pause = self._rings, LOOK_SECONDS
            try:
                self.plan()
                while not self._stopping.is_set() and self._do_next():
                    pass
                pause = min(pause, self._until_next())
            except (LumlError, SQLAlchemyError) as error:
                log.warning("The housekeeper cannot look for work now: %s", error)
            self._rest(heard, pause)

    def _rest(self, heard: int, seconds: float) -> None:
        """Until somebody rings, or has rung since `heard`, or it is time to look again."""
        with self._bell:
            self._bell.wait_for(lambda: self._rings != heard or self._stopping.is_set(), timeout=seconds)

    def _until_next(self) -> float:
        with self._database.read() as db:
            return queue.seconds_until_chore(db, list(self.chores))

    def _do_next(self) -> bool:
        """Claim one chore and do it; whether there was one."""
        try:
            with self._database.write() as db:
                job = queue.claim_chore(db, LEASE_SECONDS, list(self.chores))
        except IntegrityError:
            return True  # somebody else has claimed one of the same key in this very moment
        if job is None:
            return False
        chore = self.chores[job.type]
        with self._leased(job) as lost:
            errand = Errand(job.payload, self._database, self._keys, self.settings, job.attempts, lost.is_set)
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
        with self._database.write() as db:
            if succeeded:
                row = queue.succeed(db, job.id, job.lease_token, told)
            else:
                row = queue.fail(db, job.id, job.lease_token, told, transient=again, pauses=chore.pauses)
            if chore.every is not None and row is not None and row.state != "queued":
                queue_chore(db, chore, key="recurring", at=datetime.now(UTC) + timedelta(seconds=chore.every))

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
                with self._database.write() as db:
                    if queue.renew(db, job.id, job.lease_token, LEASE_SECONDS) is None:
                        lost.set()
                        return
            except (LumlError, SQLAlchemyError) as error:
                log.warning("The lease of %s could not be renewed: %s", job.type, error)
