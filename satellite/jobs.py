"""Takes jobs from the platform: claims them, keeps their leases, does them, tells how they ended."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from satellite.control import DataFolder
from satellite.plan import Outcome
from satellite.platform import Conflict, Gone, Platform, PlatformAway, PlatformError, Task
from satellite.reconciler import Reconciler
from satellite.runtimes.interface import Unknown

log = logging.getLogger("satellite.jobs")

IDLE_SECONDS = 1.0
LONGEST_AWAY_SECONDS = 30.0
# Of so many jobs the platform tells at once.
FARTHEST = 100


class Worker:
    """One thread that listens for jobs, and a few that do them; never two at once for one deployment."""

    def __init__(
        self,
        platform: Platform,
        reconciler: Reconciler,
        lease_seconds: float,
        poll_seconds: float,
        workers: int,
        data: DataFolder,
    ) -> None:
        self.platform = platform
        self.reconciler = reconciler
        self.lease_seconds = lease_seconds
        self.poll_seconds = poll_seconds
        self.data = data
        self.stopping = threading.Event()
        self.busy: set[str] = set()
        self.lock = threading.Lock()
        self.count = workers
        self.reach = workers
        self.free = threading.Semaphore(workers)
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="job")
        self.thread = threading.Thread(target=self.listen, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self.thread.start()

    def stop(self) -> None:
        """Take no more jobs. Those under way lose their lease, and somebody else will do them."""
        self.stopping.set()

    def join(self) -> None:
        """Wait until no job is being done any more; the listener may hang in its last long poll, and does no harm."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def listen(self) -> None:
        """Ask for pending jobs; the platform holds its answer back until there is one."""
        pause = IDLE_SECONDS
        while not self.stopping.is_set():
            if self.data.is_draining():
                self.stopping.wait(IDLE_SECONDS)
                continue
            try:
                taken = self.take(self.platform.tasks("pending", self.poll_seconds))
                pause = IDLE_SECONDS
            except (PlatformAway, PlatformError) as error:
                if self.stopping.is_set():
                    return
                log.warning("The platform cannot be asked for jobs: %s", error)
                taken, pause = 0, min(LONGEST_AWAY_SECONDS, pause * 2)
            except Exception:
                if self.stopping.is_set():
                    return
                log.exception("Listening for jobs failed; trying again")
                taken = 0
            # A platform without long poll answers at once, and a job that must wait its turn is listed at once, too.
            if not taken:
                self.stopping.wait(pause)

    def take(self, tasks: list[Task]) -> int:
        """Hand jobs to free workers, the oldest first; returns how many.

        Who is alone with the key keeps to the order. While claims show that others take from the same list, each takes
        the oldest, and for the rest here and there from the oldest part, or they would all run after the same jobs.
        """
        taken = 0
        with self.lock:
            waiting = [task for task in tasks if task.deployment_id not in self.busy]
        for task in [*waiting[:1], *some_of(waiting[1 : self.reach], self.count - 1)]:
            if self.stopping.is_set() or self.data.is_draining() or not self.reserve(task.deployment_id):
                continue
            while not self.free.acquire(timeout=0.5):
                if self.stopping.is_set():
                    return taken
            self.pool.submit(self.run, task)
            taken += 1
        return taken

    def reserve(self, deployment_id: str) -> bool:
        """Whether no other job is being done for the deployment."""
        with self.lock:
            if deployment_id in self.busy:
                return False
            self.busy.add(deployment_id)
            self.data.note_jobs(len(self.busy))
            return True

    def run(self, task: Task) -> None:
        """One job from claim to report; whatever happens, the place is free afterwards."""
        try:
            self.perform(self.claim(task))
        except (Conflict, Gone):
            log.info("Job %s is somebody else's", task.id)
        except (PlatformAway, PlatformError) as error:
            log.warning("Job %s could not be reported: %s", task.id, error)
        except Exception:
            log.exception("Job %s failed", task.id)
        finally:
            with self.lock:
                self.busy.discard(task.deployment_id)
                self.data.note_jobs(len(self.busy))
            self.free.release()

    def claim(self, task: Task) -> Task:
        """Claim a job, and learn from that whether others with our key were there first."""
        try:
            claimed = self.platform.claim(task.id, self.lease_seconds)
        except Conflict:
            self.reach = min(FARTHEST, 2 * self.reach)
            raise
        self.reach = max(self.count, self.reach - 1)
        return claimed

    def perform(self, task: Task) -> None:
        """Do a claimed job under its lease. A report after a lost lease would be another worker's, so none is made."""
        with self.lease(task) as lost:
            status, result = self.handle(task, lost)
        if not lost.is_set() and not self.stopping.is_set():
            self.platform.finish(task, status, result)

    def handle(self, task: Task, lost: threading.Event) -> tuple[str, dict[str, Any]]:
        """Both kinds of job are the same work: make what runs be what is desired."""
        outcome = self.converge(task.deployment_id, lost)
        if outcome == "active" and task.type == "deploy":
            return "done", {"inference_url": self.reconciler.rollout.routes.inference_url(task.deployment_id)}
        if outcome == "absent":
            # A deploy job whose deployment was deleted meanwhile has nothing left to do, either.
            return "done", {}
        return "failed", self.why(task.deployment_id, outcome)

    def converge(self, deployment_id: str, lost: threading.Event) -> Outcome:
        """Converge, waiting out an absence of the platform or the engine for as long as the lease holds."""
        while not lost.is_set() and not self.stopping.is_set():
            try:
                return self.reconciler.converge(deployment_id, lost)
            except (Unknown, PlatformAway) as error:
                log.warning("Deployment %s must wait: %s", deployment_id, error)
                self.stopping.wait(IDLE_SECONDS)
        return "progressing"

    def why(self, deployment_id: str, outcome: Outcome) -> dict[str, Any]:
        """The reason that was reported for the deployment."""
        try:
            message = self.platform.deployment(deployment_id).error_message
        except (PlatformAway, PlatformError):
            message = None
        return message or {"reason": f"The deployment is {outcome.replace('_', ' ')}", "error": ""}

    @contextmanager
    def lease(self, task: Task) -> Iterator[threading.Event]:
        """Renew the lease every third of its length; the event says that it was lost."""
        lost, ended = threading.Event(), threading.Event()
        thread = threading.Thread(target=self.renew, args=(task, lost, ended), name="lease", daemon=True)
        if task.lease_token:
            thread.start()
        try:
            yield lost
        finally:
            ended.set()

    def renew(self, task: Task, lost: threading.Event, ended: threading.Event) -> None:
        """Until the job ends or the lease is lost. A platform that is away takes no lease away."""
        while not ended.wait(self.lease_seconds / 3):
            try:
                self.platform.renew(task, self.lease_seconds)
            except (Conflict, Gone):
                log.warning("The lease of job %s is lost; leaving it to others", task.id)
                lost.set()
                return
            except (PlatformAway, PlatformError) as error:
                log.warning("The lease of job %s could not be renewed: %s", task.id, error)


def some_of(tasks: list[Task], count: int) -> list[Task]:
    """So many of them, drawn by lot, in their order."""
    return [tasks[number] for number in sorted(random.sample(range(len(tasks)), min(count, len(tasks))))]
