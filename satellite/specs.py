"""What a replica is started with, gathered from the platform, the cache and the satellite's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from satellite import parameters, reasons
from satellite.bundle import NotAModel, UnsupportedVariant, check_variant, environment_of
from satellite.cache import DigestMismatch, ModelCache, at_most
from satellite.deployments import Deployment, Revision
from satellite.machine import Machine
from satellite.parameters import BadParameter, Serving
from satellite.platform import BucketRefused, Gone, Platform, PlatformError, SecretMissing
from satellite.reasons import Reason
from satellite.runtimes.interface import ReplicaSpec, RuntimeFailure
from satellite.settings import Settings

# What is wrong with a deployment itself, or with what it needs; subclasses before their parents.
REFUSALS: dict[type[Exception], Reason] = {
    BadParameter: reasons.BAD_PARAMETER,
    DigestMismatch: reasons.DIGEST_MISMATCH,
    NotAModel: reasons.UNUSABLE_FILE,
    UnsupportedVariant: reasons.UNSUPPORTED_VARIANT,
    BucketRefused: reasons.BUCKET_REFUSED,
    SecretMissing: reasons.SECRET_MISSING,
    PlatformError: reasons.PLATFORM_REFUSED,
}
FAILURES: tuple[type[Exception], ...] = (RuntimeFailure, OSError, *REFUSALS)


class Specs:
    """Makes the specs of replicas; `models` holds the files that they need, `parameters` what deployments may say."""

    def __init__(self, settings: Settings, platform: Platform, machine: Machine) -> None:
        self.platform = platform
        self.pids = settings.limits.pids
        self.models = ModelCache(settings.data / "models", settings.cache_bytes)
        self.parameters = parameters.table(settings, machine)

    @contextmanager
    def replica(self, deployment: Deployment, revision: Revision, index: int) -> Iterator[ReplicaSpec]:
        """Everything a replica is started with; downloads the model if it is not here, and keeps it for the start.

        Raises one of FAILURES, and PlatformAway.
        """
        serving = self.serving(revision)
        digest = revision.digest or self.platform.artifact(revision.artifact_id).digest
        with self.models.lease(digest, lambda: self.download(revision.artifact_id)) as folder:
            check_variant(folder)
            yield ReplicaSpec(
                deployment_id=deployment.id,
                revision_id=revision.id,
                index=index,
                model=folder,
                digest=folder.name,
                environment=environment_of(folder),
                variables=revision.env_variables,
                secrets=self.secrets(revision.env_secrets),
                attributes=self.secrets(deployment.attribute_secrets),
                limits=serving.limits,
                workers=serving.workers,
                request_seconds=serving.request_seconds,
                batch_rows=serving.batch_rows,
                batch_delay_ms=serving.batch_delay_ms,
            )

    @contextmanager
    def download(self, artifact_id: str) -> Iterator[Iterator[bytes]]:
        """The bytes of an artifact, from an address that is asked for now: signed addresses expire."""
        source = self.platform.artifact(artifact_id)
        with self.platform.download(source.url) as chunks:
            yield at_most(chunks, source.size)

    def secrets(self, names: dict[str, str]) -> dict[str, str]:
        """Values of secrets by the name under which the model wants them. Raises SecretMissing."""
        return {name: self.secret(name, secret_id) for name, secret_id in names.items()}

    def secret(self, name: str, secret_id: str) -> str:
        """The value of one secret."""
        try:
            return self.platform.secret(secret_id)
        except Gone as error:
            raise SecretMissing(error.status, f"The secret for {name} cannot be read: {error}") from error

    def serving(self, revision: Revision) -> Serving:
        """How a revision is to be served. Raises BadParameter."""
        return parameters.read(self.parameters, revision.parameters, self.pids)

    def serving_now(self, deployment: Deployment) -> Serving:
        """How requests to the deployment are bounded: as the newest revision says that can be understood."""
        for target in reversed(deployment.targets):
            with suppress(BadParameter):
                return self.serving(target.revision)
        return parameters.read(self.parameters, {}, self.pids)


def trouble(error: Exception) -> tuple[Reason, str]:
    """The reason that one of FAILURES stands for, and the lines that show it."""
    if isinstance(error, RuntimeFailure):
        return error.reason, error.error
    if isinstance(error, OSError):
        # A full disk, mostly. It is tried again, with growing pauses.
        return reasons.of_os_error(error), str(error)
    return next(reason for kind, reason in REFUSALS.items() if isinstance(error, kind)), str(error)
