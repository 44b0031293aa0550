"""Lets deployments that nobody calls stop their replicas, and wakes them with the first request that comes."""

from __future__ import annotations

import logging
import threading

from satellite.deployments import Deployment
from satellite.reconciler import Reconciler
from satellite.runtimes.interface import Unknown

log = logging.getLogger("satellite")

LOOK_SECONDS = 1.0


class Sleeper:
    """A thread that asks the gateway who is wanted and who is idle, as long as some deployment may sleep."""

    def __init__(self, reconciler: Reconciler) -> None:
        self.reconciler = reconciler
        self.rollout = reconciler.rollout
        self.thread = threading.Thread(target=self.run, name="sleeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def join(self) -> None:
        """Wait for the end, which comes with the reconciler's."""
        if self.thread.is_alive():
            self.thread.join()

    def run(self) -> None:
        """Look, again and again, until the reconciler stops; the gateway holds its answer back until there is news."""
        pause = LOOK_SECONDS
        while not self.reconciler.stopping.wait(pause):
            try:
                pause = 0.0 if self.look() else LOOK_SECONDS
            except Exception:
                log.exception("Idle deployments cannot be looked after; trying again")
                pause = LOOK_SECONDS

    def look(self) -> bool:
        """Wake who is wanted, put to sleep who is idle; whether there is anybody to look after."""
        parked = {one.id: one for one in list(self.reconciler.latest.values()) if self.rollout.may_sleep(one)}
        if not parked:
            return False
        activity = self.rollout.gateway.activity()
        for deployment_id in activity.wanted:
            log.info("Deployment %s is woken by a request", deployment_id)
            self.rollout.wake_up(deployment_id)
            self.reconciler.wake.set()
        for one in parked.values():
            if activity.idle.get(one.id, 0.0) >= self.rollout.specs.serving_now(one).idle_seconds:
                self.reconciler.pool.submit(self.put_to_sleep, one)
        return bool(activity.wanted or activity.idle)

    def put_to_sleep(self, deployment: Deployment) -> None:
        """Do it unless somebody is at work on the deployment, or it sleeps already."""
        lock = self.reconciler.locks[deployment.id]
        route = self.rollout.routes.get(deployment.id)
        if not route or route.state != "ready" or not lock.acquire(blocking=False):
            return
        try:
            replicas = self.rollout.replicas(deployment.id, self.reconciler.runtime.observe())
            log.info("Deployment %s has had no request for a while; its replicas are stopped", deployment.id)
            self.rollout.put_to_sleep(deployment, replicas)
        except Unknown as error:
            log.warning("Deployment %s cannot be put to sleep now: %s", deployment.id, error)
        finally:
            lock.release()
            self.reconciler.wake.set()
