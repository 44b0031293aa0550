"""Carries out the plan of one deployment: fetch, start, wait, switch the gateway over, drain, stop, report."""

from __future__ import annotations

import logging
from typing import Any

import httpx
from msgspec.structs import replace

from satellite import reasons
from satellite.attempts import Attempts
from satellite.deployments import Deployment
from satellite.gateway.routes import Route
from satellite.gateway.supervisor import GatewaySupervisor
from satellite.health import Health, Prober, deployment_document
from satellite.plan import Outcome, Plan, Replica, Served, Wanted, plan, wanted_replicas
from satellite.platform import BucketAway, Conflict, Gone, Platform
from satellite.reasons import Reason
from satellite.routing import Routing, Unrouted, backends
from satellite.runtimes.interface import Observed, Runtime
from satellite.settings import Settings
from satellite.specs import FAILURES, Specs, trouble

log = logging.getLogger("satellite")

LOG_LINES = 20
ERROR_LENGTH = 4000


class Rollout:
    """Everything that is done to deployments. One deployment is in one thread at a time; the caller sees to that."""

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        runtime: Runtime,
        gateway: GatewaySupervisor,
        base_url: str,
        predecessor: str | None = None,
    ) -> None:
        self.settings = settings
        self.platform = platform
        self.runtime = runtime
        self.gateway = gateway
        self.base_url = base_url
        self.predecessor = predecessor
        # Deployments of which the predecessor has left nothing: it starts nothing while this one works.
        self.cleared: set[str] = set()
        self.specs = Specs(settings, platform, runtime.machine())
        self.routes = Routing(gateway.settings.routes, self.specs, base_url)
        self.prober = Prober()
        self.attempts = Attempts()
        self.refused: dict[str, int | None] = {}
        self.handed: dict[str, tuple[int, dict[str, str]]] = {}

    def close(self) -> None:
        """Let go of connections."""
        self.prober.close()

    def replicas(self, deployment_id: str, observed: list[Observed]) -> list[Replica]:
        """The replicas of one deployment, each asked how it is."""
        mine = [item for item in observed if item.deployment_id == deployment_id]
        return [Replica(item, self.prober.health(item.url) if item.url else Health("silent")) for item in mine]

    def advance(self, deployment_id: str, deployment: Deployment | None, replicas: list[Replica]) -> Outcome:
        """Do what can be done now, and say what the deployment is after that.

        Raises Unknown and PlatformAway; everything that is wrong with the deployment itself is reported to the
        platform instead. A report that comes too late (the generation moved on) is dropped.
        """
        deployment = self.as_it_stands(deployment)
        step = plan(deployment, replicas, self.routes.shares(deployment_id, replicas))
        try:
            return self.step(deployment_id, deployment, step, replicas)
        except (Conflict, Gone) as error:
            log.info("Deployment %s: a report came too late: %s", deployment_id, error)
            return "progressing"

    def step(self, deployment_id: str, deployment: Deployment | None, step: Plan, replicas: list[Replica]) -> Outcome:
        """Carry out a plan, or tell why not."""
        try:
            if deployment is None or deployment.desired != "running":
                return self.withdraw(deployment_id, deployment, step)
            if self.is_asleep(deployment):
                self.remove(tuple(one.key for one in replicas))
                return "active"
            return self.serve(deployment, step, replicas)
        except Unrouted as error:
            log.warning("Deployment %s: %s: %s", deployment_id, error.reason, error)
            if deployment:
                message = reasons.error_message(error.reason, str(error))
                self.report(deployment, {"status": deployment.status, "error_message": message})
            return "failed"

    def is_settled(self, deployment_id: str, deployment: Deployment | None, replicas: list[Replica]) -> bool:
        """Whether nothing is to be done and the platform knows all there is to know."""
        deployment = self.as_it_stands(deployment)
        step = plan(deployment, replicas, self.routes.shares(deployment_id, replicas))
        route = self.routes.get(deployment_id)
        if deployment is None or deployment.desired != "running":
            told = deployment is None or (deployment.desired == "stopped" and self.known_stopped(deployment))
            return not replicas and route is None and told
        if self.is_asleep(deployment):
            return not replicas
        waits = not any(self.attempts.may_start(one.key) for one in step.start)
        if step.outcome == "active":
            routed = route is not None and route.backends == backends(step.serve)
            done = routed and not step.retire and not step.remove and self.known_active(deployment)
            return done and waits and not self.news(deployment, replicas)
        return bool(step.start) and not step.failed and waits

    def as_it_stands(self, deployment: Deployment | None) -> Deployment | None:
        """The deployment as the platform wants it, but without a revision that has just been taken back here: the
        platform may not have heard of that yet.
        """
        if deployment is None or deployment.id not in self.refused:
            return deployment
        if self.refused[deployment.id] != deployment.generation or len(deployment.targets) < 2:
            self.refused.pop(deployment.id, None)
            return deployment
        return deployment.taken_back()

    def take_back(self, deployment: Deployment) -> None:
        """From now on the newest revision gets no request, whatever the platform says of this generation."""
        self.refused[deployment.id] = deployment.generation
        route = self.routes.get(deployment.id)
        kept = tuple(one for one in route.backends if one.revision != deployment.newest.id) if route else ()
        if route and kept:
            self.routes.set(deployment.id, replace(route, backends=tuple(replace(one, weight=100) for one in kept)))

    def known_active(self, deployment: Deployment) -> bool:
        """Whether the platform has heard that the deployment serves, where and with which schemas."""
        url_known = deployment.inference_url == self.routes.inference_url(deployment.id)
        known = deployment.status == "active" and url_known and deployment.has_schemas and not deployment.error_message
        return known and self.heard(deployment)

    def known_stopped(self, deployment: Deployment) -> bool:
        """Whether the platform has heard that nothing of the deployment runs any more."""
        return deployment.status == "pending" and self.heard(deployment)

    def heard(self, deployment: Deployment) -> bool:
        """Whether the platform has had a report on what it wants now; one that counts no generations has."""
        refused = self.refused.get(deployment.id, -1) == deployment.generation
        counts = deployment.generation is not None and deployment.observed_generation is not None
        return refused or not counts or deployment.observed_generation == deployment.generation

    def is_asleep(self, deployment: Deployment) -> bool:
        """Whether it runs nothing until a request comes; what the platform wants anew is never slept over."""
        route = self.routes.get(deployment.id)
        return route is not None and route.state == "asleep" and self.may_sleep(deployment)

    def may_sleep(self, deployment: Deployment) -> bool:
        """Whether it may be without replicas: it is parked, nothing is being rolled out, and the platform has heard."""
        idle = deployment.desired == "running" and self.specs.serving_now(deployment).idle_seconds
        return bool(idle) and len(deployment.targets) == 1 and self.known_active(deployment)

    def put_to_sleep(self, deployment: Deployment, replicas: list[Replica]) -> None:
        """Stop the replicas after the requests in hand; the next request wakes the deployment."""
        version = self.routes.set(
            deployment.id, Route("asleep", inference_url=self.routes.inference_url(deployment.id))
        )
        urls = [one.observed.url for one in replicas]
        self.gateway.wait_for_routes(version, urls, self.settings.drain_seconds)
        if self.is_asleep(deployment):
            self.remove(tuple(one.key for one in replicas))

    def wake_up(self, deployment_id: str) -> None:
        """Somebody asks for a deployment that is asleep."""
        route = self.routes.get(deployment_id)
        if route and route.state == "asleep":
            self.routes.set(deployment_id, Route("starting", inference_url=route.inference_url))

    def withdraw(self, deployment_id: str, deployment: Deployment | None, step: Plan) -> Outcome:
        """Nothing of the deployment stays; then a deletion is confirmed."""
        self.routes.set(deployment_id, None)
        self.remove(step.remove)
        if deployment and deployment.desired == "deleted":
            try:
                self.platform.delete_deployment(deployment_id)
            except Gone:
                log.info("Deployment %s was gone already", deployment_id)
        elif deployment and not self.known_stopped(deployment):
            self.platform.update_deployment(deployment_id, {"status": "pending"}, deployment.generation)
        return "absent"

    def serve(self, deployment: Deployment, step: Plan, replicas: list[Replica]) -> Outcome:
        """Bring the desired revision nearer to serving."""
        if step.outcome == "active" and step.serve:
            return self.all_serve(deployment, step, replicas)
        self.routes.keep(deployment, step.serve, "starting")
        if step.outcome == "failed" and step.failed:
            said = self.runtime.hide_secrets(step.failed.key, step.failed.health.error)
            return self.fail_replica(deployment, step, step.failed.key, reasons.of_load(said), said)
        if step.start:
            return self.start(deployment, step)
        self.remove(step.remove)
        if step.outcome == "not_responding":
            self.report(deployment, {"status": "not_responding"})
            return "not_responding"
        if deployment.status == "active" and not step.serve:
            self.report(deployment, {"status": "not_responding"})
        late = [
            one.key
            for one in wanted_replicas(deployment)
            if not one.target.standby and self.is_late(deployment, one, replicas)
        ]
        if late:
            return self.fail_replica(deployment, step, late[0], reasons.NOT_READY, "")
        return "progressing"

    def all_serve(self, deployment: Deployment, step: Plan, replicas: list[Replica]) -> Outcome:
        """All that is to serve can: switch over, look after the standby, and tell the platform, which may then want
        something else of a rollout.
        """
        for served in step.serve:
            self.attempts.forget(served.replica.key)
        self.switch(deployment, step, replicas)
        self.remove(step.remove)
        for one in step.start:
            self.start_standby(deployment, one)
        self.hand_attributes(deployment, replicas)
        told = self.report_active(deployment, step.serve[0].replica)
        if self.predecessor and deployment.id not in self.cleared:
            self.runtime.remove_left_by(self.predecessor, deployment.id)
            self.cleared.add(deployment.id)
        return "progressing" if told and len(deployment.targets) > 1 else "active"

    def start_standby(self, deployment: Deployment, one: Wanted) -> None:
        """Have the way back ready again. That it is not is no trouble of what serves, but for the log."""
        if self.attempts.may_start(one.key):
            self.attempts.note_start(one.key)
            if wrong := self.trouble_with_start(deployment, one):
                log.warning("Deployment %s: the standby cannot be started: %s: %s", deployment.id, *wrong)

    def news(self, deployment: Deployment, replicas: list[Replica]) -> list[Replica]:
        """The replicas that run with other dynamic attributes than they should have."""
        if not deployment.attribute_secrets and not deployment.secrets_version:
            return []
        stamp = (deployment.secrets_version, deployment.attribute_secrets)
        return [one for one in replicas if self.handed.get(one.key) != stamp]

    def hand_attributes(self, deployment: Deployment, replicas: list[Replica]) -> None:
        """Give running replicas the values that the secrets of their dynamic attributes have now."""
        waiting = self.news(deployment, replicas)
        values = self.specs.secrets(deployment.attribute_secrets) if waiting else {}
        for one in waiting:
            if self.runtime.refresh_attributes(one.key, values):
                self.handed[one.key] = (deployment.secrets_version, deployment.attribute_secrets)

    def is_late(self, deployment: Deployment, one: Wanted, replicas: list[Replica]) -> bool:
        """Whether a replica that is not ready has had time enough."""
        ready = any(replica.key == one.key and replica.ready for replica in replicas)
        return not ready and self.attempts.seconds_since(one.key) > self.specs.serving_now(deployment).ready_seconds

    def switch(self, deployment: Deployment, step: Plan, replicas: list[Replica]) -> None:
        """Send requests to the new replica; stop the old ones when the gateway has no request in hand for them."""
        version = self.routes.keep(deployment, step.serve, "starting")
        if step.retire:
            left = [one.observed.url for one in replicas if one.key in step.retire]
            self.gateway.wait_for_routes(version, left, self.settings.drain_seconds)
            self.remove(step.retire)

    def start(self, deployment: Deployment, step: Plan) -> Outcome:
        """Start what is missing, unless it has just failed to."""
        if step.failed:
            self.note_exit(deployment, step, step.failed.key)
        for one in step.start:
            if one.target.standby:
                self.start_standby(deployment, one)
        needed = [one for one in step.start if not one.target.standby]
        able = [one for one in needed if self.attempts.may_start(one.key)]
        for one in able:
            self.attempts.note_start(one.key)
            if wrong := self.trouble_with_start(deployment, one):
                return self.fail(deployment, step.serve, *wrong)
        return "progressing" if able or not needed else "failed"

    def trouble_with_start(self, deployment: Deployment, one: Wanted) -> tuple[Reason, str] | None:
        """Start one replica; what went wrong (reason, error) when that failed."""
        try:
            with self.specs.replica(deployment, one.target.revision, one.index) as spec:
                self.runtime.ensure_running(spec)
            self.handed[one.key] = (deployment.secrets_version, deployment.attribute_secrets)
        except BucketAway as error:
            message = reasons.error_message(reasons.BUCKET_AWAY, str(error))
            self.report(deployment, {"status": deployment.status, "error_message": message})
            raise
        except FAILURES as error:
            return trouble(error)
        return None

    def note_exit(self, deployment: Deployment, step: Plan, key: str) -> None:
        """A replica ended by itself: say so if nothing serves now, with what it printed last."""
        if deployment.status == "active":
            if not step.serve:
                self.report(deployment, {"status": "not_responding"})
        elif not self.attempts.may_start(key):
            printed = self.runtime.logs(key, LOG_LINES)
            self.fail(deployment, step.serve, reasons.of_ending(self.runtime.ending(key), printed), printed)

    def fail_replica(self, deployment: Deployment, step: Plan, key: str, reason: Reason, error: str) -> Outcome:
        """A replica that runs but cannot serve: keep its last words, remove it, report."""
        error = error or self.runtime.logs(key, LOG_LINES)
        self.remove((*step.remove, key))
        return self.fail(deployment, step.serve, reason, error)

    def fail(self, deployment: Deployment, fallback: tuple[Served, ...], reason: Reason, error: str) -> Outcome:
        """Report a failure. A deployment of which something still serves stays active and carries the error."""
        self.routes.keep(deployment, fallback, "failed")
        log.warning("Deployment %s: %s: %s", deployment.id, reason, error)
        if deployment.bounds and fallback and len(deployment.targets) > 1:
            self.take_back(deployment)
            self.platform.roll_back(deployment.id, deployment.generation or 0, reason.text, error[-ERROR_LENGTH:])
            return "progressing"
        message = reasons.error_message(reason, error[-ERROR_LENGTH:])
        self.report(deployment, {"status": "active" if fallback else "failed", "error_message": message})
        return "failed"

    def report_active(self, deployment: Deployment, replica: Replica) -> bool:
        """Tell the platform where the deployment is served and with which schemas; whether it did not know."""
        if self.known_active(deployment):
            return False
        try:
            document = self.prober.openapi(str(replica.observed.url))
        except httpx.HTTPError as error:
            log.warning("Deployment %s has no schemas: %s", deployment.id, error)
            return False
        schemas = deployment_document(document, deployment.id, self.base_url)
        url = self.routes.inference_url(deployment.id)
        self.report(deployment, {"status": "active", "inference_url": url, "schemas": schemas, "error_message": None})
        return True

    def tell_unknown(self, deployment: Deployment, why: str) -> None:
        """Nobody can say at the moment what runs. What is thought to serve is left as it is, but for this word."""
        if deployment.desired == "running" and deployment.has_served:
            message = reasons.error_message(reasons.RUNTIME_AWAY, why)
            self.report(deployment, {"status": deployment.status, "error_message": message})

    def report(self, deployment: Deployment, changes: dict[str, Any]) -> None:
        """Report what differs from what the platform knows; only as long as it wants what it wanted."""
        known = {"status": deployment.status, "error_message": deployment.error_message}
        same = all(value == known[name] for name, value in changes.items() if name in known)
        if same and "schemas" not in changes and self.heard(deployment):
            return
        self.platform.update_deployment(deployment.id, changes, deployment.generation)

    def remove(self, keys: tuple[str, ...]) -> None:
        """Stop replicas."""
        for key in keys:
            self.runtime.ensure_absent(key)
            self.handed.pop(key, None)

    def ask_anew(self, deployment: Deployment) -> None:
        """Somebody wants this revision now: an earlier failure does not make it wait."""
        for one in wanted_replicas(deployment):
            self.attempts.forget(one.key)
