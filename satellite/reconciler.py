"""Makes what runs be what is desired: every few seconds, and at once when a job or the engine says so."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from satellite.deployments import Deployment
from satellite.plan import Outcome
from satellite.platform import Conflict, Gone, Platform, PlatformAway, PlatformError
from satellite.rollout import Rollout
from satellite.runtimes.interface import Observed, Runtime, Unknown

log = logging.getLogger("satellite")

SETTLED: set[Outcome] = {"active", "failed", "absent", "not_responding"}
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
THREADS = 8


class Reconciler:
    """The loop over all deployments, and `converge` for one of them, which jobs call, too."""

    def __init__(
        self,
        platform: Platform,
        runtime: Runtime,
        rollout: Rollout,
        interval: float,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self.platform = platform
        self.runtime = runtime
        self.rollout = rollout
        self.interval = interval
        self.draining = draining
        self.wake = threading.Event()
        self.stopping = threading.Event()
        self.locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.waiting: set[str] = set()
        self.latest: dict[str, Deployment] = {}
        self.rounds_unknown = 0
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="reconcile")
        self.thread = threading.Thread(target=self.run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begin the loop."""
        self.thread.start()

    def stop(self) -> None:
        """End the loop; what is being converged stops at its next step."""
        self.stopping.set()
        self.wake.set()

    def join(self) -> None:
        """Wait until nothing is being done any more."""
        if self.thread.is_alive():
            self.thread.join()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def run(self) -> None:
        """Reconcile, wait, repeat. Nothing ends this loop but a stop."""
        while not self.stopping.is_set():
            self.wake.clear()
            try:
                self.look()
            except (PlatformAway, PlatformError) as error:
                log.warning("The platform cannot be asked what is desired (everything keeps running): %s", error)
            except Exception:
                log.exception("Reconciling failed; trying again")
            self.wake.wait(self.interval)

    def look(self) -> None:
        """Reconcile; a runtime that does not answer for more than one round is told of, as what it is: unknown."""
        try:
            self.reconcile()
            self.rounds_unknown = 0
        except Unknown as error:
            log.warning("The runtime cannot be asked what runs (nothing is changed): %s", error)
            self.rounds_unknown += 1
            if self.rounds_unknown > 1:
                self.tell_unknown(str(error))

    def tell_unknown(self, why: str) -> None:
        """Say on the platform that nobody knows what runs. Deployments that somebody is working on are left to them."""
        for deployment in self.platform.deployments():
            lock = self.locks[deployment.id]
            if lock.acquire(blocking=False):
                try:
                    self.rollout.tell_unknown(deployment, why)
                except (Conflict, Gone) as error:
                    log.info("Deployment %s: a report came too late: %s", deployment.id, error)
                finally:
                    lock.release()

    def reconcile(self) -> None:
        """Compare everything once. Deployments that somebody is working on are left to them.

        What runs is looked at before what is desired: a replica seen here belongs to a deployment that existed
        earlier, so one that the platform does not list afterwards is an orphan for sure.
        """
        observed = self.runtime.observe()
        seen = {item.deployment_id for item in observed} | set(self.rollout.routes.table.routes)
        desired = {deployment.id: deployment for deployment in self.platform.deployments()}
        self.latest = desired
        if self.draining():
            # What serves goes on and is kept alive; a deployment that is new here waits.
            desired = {name: deployment for name, deployment in desired.items() if name in seen}
        # What waits since the last round for a free thread need not wait twice.
        for deployment_id in (seen | desired.keys()) - self.waiting.copy():
            self.waiting.add(deployment_id)
            future = self.pool.submit(self.reconcile_one, deployment_id, desired.get(deployment_id), observed)
            future.add_done_callback(log_failure)
        self.rollout.specs.models.trim(lambda: {item.digest for item in self.runtime.observe()})
        self.runtime.trim()

    def reconcile_one(self, deployment_id: str, deployment: Deployment | None, observed: list[Observed]) -> None:
        """Converge one deployment if it is not as it should be."""
        self.waiting.discard(deployment_id)
        lock = self.locks[deployment_id]
        if self.quiet(deployment_id, deployment, observed) or not lock.acquire(blocking=False):
            return
        try:
            self.converge_locked(deployment_id, threading.Event())
        finally:
            lock.release()

    def quiet(self, deployment_id: str, deployment: Deployment | None, observed: list[Observed]) -> bool:
        """Whether one replica of the right revision serves and the platform knows; then nothing is asked again."""
        replicas = self.rollout.replicas(deployment_id, observed)
        return self.rollout.is_settled(deployment_id, deployment, replicas)

    def converge(self, deployment_id: str, abandoned: threading.Event) -> Outcome:
        """Work on one deployment until it is settled; returns how it is.

        `abandoned` ends the work early (a lost lease). Raises Unknown, PlatformAway and PlatformError.
        """
        with self.locks[deployment_id]:
            deployment = self.desired(deployment_id)
            if deployment:
                self.rollout.ask_anew(deployment)
            return self.converge_locked(deployment_id, abandoned)

    def converge_locked(self, deployment_id: str, abandoned: threading.Event) -> Outcome:
        """The loop of `converge`: what is desired is asked at each step, for it may change meanwhile."""
        pause: float = FIRST_PAUSE
        outcome: Outcome = "progressing"
        while not self.stopping.is_set() and not abandoned.is_set():
            deployment = self.desired(deployment_id)
            replicas = self.rollout.replicas(deployment_id, self.runtime.observe())
            outcome = self.rollout.advance(deployment_id, deployment, replicas)
            if outcome in SETTLED:
                return outcome
            self.stopping.wait(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        return outcome

    def desired(self, deployment_id: str) -> Deployment | None:
        """What the platform wants of one deployment now; None when it does not know it."""
        try:
            deployment = self.platform.deployment(deployment_id)
        except Gone:
            self.latest.pop(deployment_id, None)
            return None
        self.latest[deployment_id] = deployment
        return deployment


def log_failure(future: Future[None]) -> None:
    """What went wrong while one deployment was converged; the next round tries again."""
    error = None if future.cancelled() else future.exception()
    if isinstance(error, (Unknown, PlatformAway, PlatformError)):
        log.warning("A deployment could not be reconciled: %s", error)
    elif error:
        log.error("A deployment could not be reconciled", exc_info=error)
