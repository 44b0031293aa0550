"""The runtime and the platform, as the satellite uses them, with everything of interest written into the logs."""

from __future__ import annotations

import logging
import threading
from typing import Any, cast

from satellite.deployments import Deployment
from satellite.logs.collector import LOOK_SECONDS, Collector, Followed
from satellite.platform import Platform, PlatformAway, PlatformError
from satellite.runtimes.interface import Observed, ReplicaSpec, Runtime

log = logging.getLogger("satellite.logs")

AWAY_SECONDS = 2.0


def recorded(runtime: Runtime, platform: Platform, collector: Collector) -> tuple[Runtime, Platform]:
    """Both, with a collector that hears of starts, ends, reports and secrets."""
    return cast(Runtime, RecordedRuntime(runtime, collector)), cast(Platform, RecordedPlatform(platform, collector))


class RecordedRuntime:
    """A runtime whose replicas are followed from their start to their last line."""

    def __init__(self, runtime: Runtime, collector: Collector) -> None:
        self._runtime = runtime
        self._collector = collector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def ensure_running(self, spec: ReplicaSpec) -> None:
        """Start the replica, and keep what it prints."""
        collector = self._collector
        place = (spec.deployment_id, collector.revision(spec.revision_id), spec.index)
        collector.note(place[0], f"Starting replica {spec.index} of revision {place[1]}.", *place[1:])
        self._runtime.ensure_running(spec)
        collector.note(place[0], f"Started replica {spec.index} of revision {place[1]}.", *place[1:])
        collector.follow(Observed(spec.key, spec.deployment_id, spec.revision_id, spec.digest, "starting"))

    def close(self, stop_replicas: bool) -> None:
        """Let go of the runtime; when that stops the replicas, their last lines are kept."""
        followed = list(self._collector.followed.values()) if stop_replicas else []
        for one in followed:
            self._collector.catch_up(one.key)
        self._runtime.close(stop_replicas)
        for one in followed:
            self._stopped(one)

    def ensure_absent(self, key: str) -> None:
        """Stop the replica and remove it; its last lines are kept."""
        one = self._collector.followed.get(key)
        self._collector.catch_up(key)
        self._runtime.ensure_absent(key)
        if one:
            self._stopped(one)

    def _stopped(self, one: Followed) -> None:
        self._collector.finish(one.key)
        revision = self._collector.revision(one.revision_id)
        said = f"Stopped replica {one.replica} of revision {revision}."
        self._collector.note(one.deployment_id, said, revision, one.replica)


class RecordedPlatform:
    """A platform whose secrets are masked from the moment they are known; what it is told is in the logs, too."""

    def __init__(self, platform: Platform, collector: Collector) -> None:
        self._platform = platform
        self._collector = collector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def secret(self, secret_id: str) -> str:
        """The value of a secret, which no line shows from now on."""
        value = self._platform.secret(secret_id)
        self._collector.masks.learn(value)
        return value

    def deployments(self) -> list[Deployment]:
        """All deployments; what people call their revisions is remembered."""
        return [self._learn(one) for one in self._platform.deployments()]

    def deployment(self, deployment_id: str) -> Deployment:
        """One deployment; what people call its revisions is remembered."""
        return self._learn(self._platform.deployment(deployment_id))

    def update_deployment(self, deployment_id: str, changes: dict[str, Any], generation: int | None) -> None:
        """Report, and keep a line about it."""
        self._platform.update_deployment(deployment_id, changes, generation)
        if said := sentence(changes):
            self._collector.note_change(deployment_id, said)

    def delete_deployment(self, deployment_id: str) -> None:
        """Confirm the deletion; the lines go with the deployment."""
        self._platform.delete_deployment(deployment_id)
        self._collector.forget(deployment_id)

    def _learn(self, deployment: Deployment) -> Deployment:
        for target in deployment.targets:
            if target.revision.number is not None:
                self._collector.revisions[target.revision.id] = str(target.revision.number)
        return deployment


def sentence(changes: dict[str, Any]) -> str:
    """What a report says, as a line of the log."""
    message = changes.get("error_message") or {}
    why = ": ".join(str(message[part]).strip() for part in ("reason", "error") if message.get(part))
    status = changes.get("status")
    if status == "failed":
        return f"Failed: {why}"
    if status == "not_responding":
        return "Not responding."
    if status == "active":
        return f"Still served by the earlier revision; the new one failed: {why}" if why else "Ready."
    return ""


class Watch:
    """A thread that follows what is there. It begins when all secrets are known that may be printed."""

    def __init__(self, platform: Platform, collector: Collector) -> None:
        self.platform = platform
        self.collector = collector
        self.thread = threading.Thread(target=self.run, name="logs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def stop(self) -> None:
        """End; replicas are followed no more."""
        self.collector.stop()
        if self.thread.is_alive():
            self.thread.join()

    def run(self) -> None:
        """Learn, then look now and then."""
        stopping = self.collector.stopping
        while not self.knows_secrets():
            if stopping.wait(AWAY_SECONDS):
                return
        while not stopping.is_set():
            try:
                self.collector.look()
            except Exception:
                log.exception("Following the replicas failed; trying again")
            stopping.wait(LOOK_SECONDS)

    def knows_secrets(self) -> bool:
        """Ask for the secrets of all deployments here; an earlier run of the satellite has given them to replicas."""
        try:
            deployments = self.platform.deployments()
            for secret_id in {one for deployment in deployments for one in secrets_of(deployment)}:
                self.platform.secret(secret_id)
        except PlatformAway:
            return False
        except PlatformError as error:
            log.info("A secret cannot be asked for: %s", error)
        return True


def secrets_of(deployment: Deployment) -> set[str]:
    """The ids of the secrets that a deployment refers to."""
    in_environments = {one for target in deployment.targets for one in target.revision.env_secrets.values()}
    return in_environments | set(deployment.attribute_secrets.values())
