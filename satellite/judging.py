"""Watches new revisions while they are rolled out, and takes one back that does not keep to its bounds."""

from __future__ import annotations

import logging
import threading

from satellite.deployments import Bounds, Deployment
from satellite.gateway.stats import Summary
from satellite.platform import Conflict, Gone, PlatformAway, PlatformError
from satellite.reconciler import Reconciler

log = logging.getLogger("satellite")

LOOK_SECONDS = 1.0


def verdict(bounds: Bounds, seen: Summary) -> tuple[str, str] | None:
    """Why a revision must go (reason, figures); None while it keeps to its bounds, or has had too few requests."""
    if seen.requests < bounds.min_requests:
        return None
    rate = seen.errors / seen.requests
    if bounds.error_rate is not None and rate > bounds.error_rate:
        allowed = f"{bounds.error_rate:.1%} are allowed"
        return "Too many requests failed", f"{seen.errors} of {seen.requests} requests ({rate:.1%}); {allowed}"
    if bounds.p95_seconds is not None and seen.p95 > bounds.p95_seconds:
        allowed = f"{bounds.p95_seconds:g} s are allowed"
        return "The answers took too long", f"95 % of {seen.requests} requests within {seen.p95:.3g} s; {allowed}"
    return None


class Judge:
    """A thread that looks at the gateway's statistics every second, as long as some rollout has bounds.

    The requests are sent back to the revision before at once; the platform hears of it as soon as it answers.
    """

    def __init__(self, reconciler: Reconciler) -> None:
        self.reconciler = reconciler
        self.rollout = reconciler.rollout
        self.platform = reconciler.platform
        self.untold: dict[str, tuple[int, str, str]] = {}
        self.thread = threading.Thread(target=self.run, name="judge", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.thread.start()

    def join(self) -> None:
        """Wait for the end, which comes with the reconciler's."""
        if self.thread.is_alive():
            self.thread.join()

    def run(self) -> None:
        """Look, wait, repeat, until the reconciler stops."""
        while not self.reconciler.stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("The new revisions cannot be judged; trying again")

    def look(self) -> None:
        """Judge every rollout with bounds once, and tell what the platform has not heard."""
        watched = [one for one in list(self.reconciler.latest.values()) if one.bounds and len(one.targets) > 1]
        statistics = self.rollout.gateway.statistics() if watched else {}
        for one in watched:
            self.judge(one, statistics.get(one.id, {}).get(one.newest.id, Summary()))
        for deployment_id in list(self.untold):
            self.tell(deployment_id)

    def judge(self, deployment: Deployment, seen: Summary) -> None:
        """Take the newest revision back if it must go."""
        known = self.rollout.refused.get(deployment.id, -1) == deployment.generation
        why = None if known or not deployment.bounds else verdict(deployment.bounds, seen)
        if why:
            log.warning("Deployment %s: its new revision is taken back: %s: %s", deployment.id, *why)
            self.rollout.take_back(deployment)
            self.untold[deployment.id] = (deployment.generation or 0, *why)

    def tell(self, deployment_id: str) -> None:
        """Tell the platform; one that is away is told later."""
        generation, reason, error = self.untold[deployment_id]
        try:
            self.platform.roll_back(deployment_id, generation, reason, error)
        except PlatformAway:
            return
        except (Conflict, Gone):
            log.info("Deployment %s: something else is wanted meanwhile", deployment_id)
        except PlatformError as error_:
            log.error("Deployment %s: the platform does not take the revision back: %s", deployment_id, error_)
        del self.untold[deployment_id]
        self.reconciler.wake.set()
