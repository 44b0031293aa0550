"""The satellite put together: started, watched over and stopped in order."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any, cast
from urllib.parse import urlsplit

from luml_app.schemas.settling import settle_structs
from satellite.capabilities import capabilities
from satellite.control import DataFolder
from satellite.direct import DirectPlatform, direct
from satellite.gateway.settings import GatewaySettings
from satellite.gateway.supervisor import GatewaySupervisor
from satellite.instance import instance_id
from satellite.jobs import Worker
from satellite.judging import Judge
from satellite.logs.collector import Collector
from satellite.logs.kept import LOGS
from satellite.logs.recording import Watch, recorded
from satellite.platform import Platform, PlatformAway, PlatformError, Unauthorized
from satellite.reconciler import Reconciler
from satellite.rest import RestPlatform
from satellite.rollout import Rollout
from satellite.runtimes.choice import choose_runtime
from satellite.runtimes.interface import Runtime, Unknown
from satellite.session import Session
from satellite.settings import Settings
from satellite.sleeping import Sleeper

log = logging.getLogger("satellite")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
HAND_OVER_SECONDS = 60.0


class Daemon:
    """One satellite. `start` returns when it is paired and listening for jobs; `stop` leaves nothing behind.

    While another instance with the same key works, `start` stands by. When another one has taken over, `lost` is set,
    and this one has to be stopped; a new one may stand by then. `over` is set when it is time to stop, for whatever
    reason.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data = DataFolder(settings.data)
        self.stopping = threading.Event()
        self.over = threading.Event()
        self.closers = contextlib.ExitStack()
        name, platform = instance_id(settings.data), RestPlatform(settings.platform_url, settings.token)
        self.session = Session(platform, name, settings.lease_seconds, self.over.set)

    @property
    def lost(self) -> threading.Event:
        """Set when another instance of this satellite works."""
        return self.session.lost

    def start(self) -> None:
        """Bring everything up, in the order in which the parts need each other.

        Raises AlreadyRunning, Unauthorized, GatewayFailed and RuntimeFailure (no runtime works here).
        """
        settings = self.settings
        settle_structs()
        self.closers.enter_context(self.data.only_one())
        bare, why = choose_runtime(settings)
        log.info("Runtime: %s (%s)", bare.name, why)
        self.data.announce(settings.platform_url, bare.name, why)
        # Who lets models run on will be back in a moment; until then nobody else shall start them.
        self.closers.callback(lambda: self.session.close(release=settings.stop_replicas))
        if not self.session.wait(self.stopping, lambda: self.step_aside(bare)):
            return
        rest = RestPlatform(settings.platform_url, settings.token, self.session.instance)
        collector = Collector(settings.data / LOGS, bare, settings.deployment_log_bytes, settings.log_bytes)
        jobs = direct(rest, settings.database_url) if settings.database_url else rest
        runtime, platform = recorded(bare, cast(Platform, jobs), collector)
        watch = Watch(platform, collector)
        # Whatever is printed while replicas are stopped is kept, too.
        self.closers.callback(watch.stop)
        self.closers.callback(lambda: runtime.close(settings.stop_replicas or self.lost.is_set()))
        self.closers.callback(jobs.close)
        gateway = GatewaySupervisor(gateway_settings(settings), dict(settings.inherited))
        self.closers.callback(gateway.stop)
        gateway.start()
        base_url = settings.base_url or gateway.url
        rollout = Rollout(settings, platform, runtime, gateway, base_url, self.session.predecessor)
        reconciler = Reconciler(platform, runtime, rollout, settings.reconcile_seconds, self.data.is_draining)
        judge, sleeper = Judge(reconciler), Sleeper(reconciler)
        patience = (settings.lease_seconds, settings.poll_seconds)
        worker = Worker(platform, reconciler, *patience, settings.workers, self.data)
        self.closers.callback(self.quiet_down, jobs, runtime, rollout, reconciler, judge, sleeper, worker)
        satellite_id = self.pair(rest, base_url, capabilities(runtime.name, why, rollout.specs.parameters))
        runtime.watch(reconciler.wake.set)
        watch.start()
        reconciler.start()
        judge.start()
        sleeper.start()
        worker.start()
        self.data.announce(settings.platform_url, runtime.name, why, satellite_id, base_url)
        log.info("Serving at %s", base_url)

    def ask_to_stop(self) -> None:
        """From now on nothing is waited for any more; for signal handlers."""
        self.stopping.set()
        self.over.set()

    def stop(self) -> None:
        """Stop everything; returns when it has stopped. What another instance takes over serves until then."""
        if not self.lost.is_set():
            self.ask_to_stop()
        self.closers.close()

    def quiet_down(
        self,
        platform: RestPlatform | DirectPlatform,
        runtime: Runtime,
        rollout: Rollout,
        reconciler: Reconciler,
        judge: Judge,
        sleeper: Sleeper,
        worker: Worker,
    ) -> None:
        """Begin nothing new, cut short what is under way, and wait for it: only then may replicas be stopped."""
        worker.stop()
        reconciler.stop()
        if self.lost.is_set():
            self.hand_over(platform, rollout.base_url)
        platform.interrupt()
        runtime.interrupt()
        worker.join()
        judge.join()
        sleeper.join()
        reconciler.join()
        rollout.close()

    def step_aside(self, runtime: Runtime) -> None:
        """Another instance works: what an earlier run of this one has left here serves until the other one does."""
        gateway = GatewaySupervisor(gateway_settings(self.settings), {})
        gateway.adopt()
        with contextlib.suppress(Unknown, Unauthorized):
            if left := runtime.observe():
                log.info("%d replicas of an earlier run are here; they end when they serve elsewhere", len(left))
                self.hand_over(self.session.platform, self.settings.base_url or gateway.url)
            for one in left:
                runtime.ensure_absent(one.key)
        gateway.stop()
        gateway.settings.routes.unlink(missing_ok=True)

    def hand_over(self, platform: RestPlatform | DirectPlatform, base_url: str) -> None:
        """Go on serving until the instance that has taken over does, as the addresses of the deployments show."""
        deadline = time.monotonic() + HAND_OVER_SECONDS
        while not self.stopping.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(PlatformAway, PlatformError):
                theirs = [one for one in platform.deployments() if one.desired == "running"]
                if not any((one.inference_url or "").startswith(base_url) for one in theirs):
                    return
            self.stopping.wait(FIRST_PAUSE)

    def pair(self, platform: RestPlatform, base_url: str, abilities: dict[str, Any]) -> str:
        """Announce the satellite, as often as it takes, and return its id; only a key that is refused is final."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                satellite_id = platform.pair(base_url, abilities, self.settings.slug)
                log.info("Paired with %s as %s", self.settings.platform_url, satellite_id)
                return satellite_id
            except Unauthorized:
                raise
            except (PlatformAway, PlatformError) as error:
                log.warning("Cannot pair yet: %s", error)
                self.stopping.wait(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
        return ""


def gateway_settings(settings: Settings) -> GatewaySettings:
    """The part of the settings that the gateway is told."""
    return GatewaySettings(
        host=settings.gateway_host,
        port=settings.gateway_port,
        listener=settings.listener,
        folder=str(settings.data),
        platform_url=settings.platform_url,
        token=settings.token,
        body_limit=settings.body_limit,
        held_limit=settings.held_limit,
        base_path=urlsplit(settings.base_url).path,
        tls_chain=settings.tls_chain,
        tls_key=settings.tls_key,
        queue_limit=settings.queue_limit,
        concurrency=settings.concurrency,
        request_seconds=settings.request_seconds,
        hold_seconds=settings.hold_seconds,
        stale_seconds=settings.stale_seconds,
        fresh_seconds=settings.fresh_seconds,
        slow_seconds=settings.slow_seconds,
    )
