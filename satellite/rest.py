"""The platform over REST: `/satellites/v1/…` of the contract, with our leases and generations where they are known."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any, cast

import httpx

from satellite.deployments import Deployment, parse_deployment
from satellite.platform import (
    ArtifactSource,
    BucketAway,
    BucketRefused,
    Conflict,
    Gone,
    PlatformAway,
    PlatformError,
    Task,
    Unauthorized,
)

TRIES = 4
# What a plain call may take; a long poll takes its own time on top. A stop waits for the calls that are under way.
READ_SECONDS = 15.0
FILE_SECONDS = 60.0
FIRST_PAUSE = 0.2
AWAY = {502, 503, 504}
# How a platform answers that knows nothing of sessions.
UNKNOWN = {404, 405}
ERRORS = {401: Unauthorized, 403: Unauthorized, 404: Gone, 409: Conflict}
CHUNK = 1024 * 1024


class RestPlatform:
    """The `Platform` over HTTP, for any number of threads. Calls that may be repeated are, with growing pauses.

    `instance`: which of those that share the key this is; the platform does not hear one that another has replaced.
    """

    def __init__(self, address: str, token: str, instance: str = "") -> None:
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=16)
        self.closing = threading.Event()
        self.http = httpx.Client(
            base_url=f"{address.rstrip('/')}/satellites/v1/",
            headers={"Authorization": f"Bearer {token}", **({"X-Satellite-Instance": instance} if instance else {})},
            limits=limits,
        )
        # Signed URLs carry their own permission; our key must not travel to somebody's bucket.
        self.files = httpx.Client(timeout=patience(FILE_SECONDS), follow_redirects=True)

    def interrupt(self) -> None:
        """Begin no more calls, end pauses and downloads. The calls under way are left to end: who waits for an answer
        is not woken when another thread closes the connection.
        """
        self.closing.set()

    def close(self) -> None:
        """Drop the connections."""
        self.closing.set()
        self.http.close()
        self.files.close()

    def pair(self, base_url: str, capabilities: dict[str, Any], slug: str | None) -> str:
        """Announce this satellite; returns its id."""
        body = {"base_url": base_url, "capabilities": capabilities, "slug": slug}
        return str(self.call("POST", "pair", body)["id"])

    def open_session(self, instance: str, seconds: float) -> str | None:
        """Be the instance of this satellite that works, or go on being it; returns the instance whose session had run
        out, if one had. Raises Conflict while another one works.
        """
        try:
            body = {"instance": instance, "lease_seconds": seconds}
            told = self.call("POST", "session", body, tries=1)
        except PlatformError as error:
            if error.status in UNKNOWN:
                return None
            raise
        return cast(str | None, told.get("predecessor"))

    def close_session(self, instance: str) -> None:
        """Work no more. What cannot be told ends by itself."""
        with contextlib.suppress(PlatformAway, PlatformError):
            self.call("DELETE", "session", query={"instance": instance}, tries=1)

    def answers(self) -> bool:
        """Whether the platform is there."""
        try:
            self.call("GET", "tasks", query={"status": "running"}, tries=1)
        except (PlatformAway, PlatformError):
            return False
        return True

    def tasks(self, status: str, wait: float) -> list[Task]:
        """Tasks in a status, by long poll."""
        query = {"status": status, "wait": f"{wait:g}"}
        return [parse_task(raw) for raw in self.call("GET", "tasks", query=query, tries=1, wait=wait)]

    def claim(self, task_id: str, lease_seconds: float) -> Task:
        """Take a task. Not repeated: a lost answer would look like another's claim, and leases end anyway."""
        body = {"status": "running", "lease_seconds": lease_seconds}
        return parse_task(self.call("POST", f"tasks/{task_id}/status", body, tries=1))

    def renew(self, task: Task, lease_seconds: float) -> None:
        """Keep a task; a platform without leases has nothing to renew."""
        if task.lease_token:
            body = {"lease_token": task.lease_token, "lease_seconds": lease_seconds}
            self.call("POST", f"tasks/{task.id}/renew", body)

    def finish(self, task: Task, status: str, result: dict[str, Any] | None) -> None:
        """End a task."""
        body: dict[str, Any] = {"status": status, "result": result}
        if task.lease_token:
            body["lease_token"] = task.lease_token
        self.call("POST", f"tasks/{task.id}/status", body)

    def deployments(self) -> list[Deployment]:
        """All deployments of this satellite."""
        return [parse_deployment(raw) for raw in self.call("GET", "deployments")]

    def deployment(self, deployment_id: str) -> Deployment:
        """One deployment."""
        return parse_deployment(self.call("GET", f"deployments/{deployment_id}"))

    def update_deployment(self, deployment_id: str, changes: dict[str, Any], generation: int | None) -> None:
        """Report what is observed."""
        body = changes if generation is None else {**changes, "generation": generation}
        self.call("PATCH", f"deployments/{deployment_id}", body)

    def roll_back(self, deployment_id: str, generation: int, reason: str, error: str) -> None:
        """Take the newest revision of a rollout back."""
        body = {"generation": generation, "reason": reason[:200], "error": error}
        self.call("POST", f"deployments/{deployment_id}/rollback", body)

    def delete_deployment(self, deployment_id: str) -> None:
        """Confirm a deletion."""
        self.call("DELETE", f"deployments/{deployment_id}")

    def artifact(self, artifact_id: str) -> ArtifactSource:
        """Where to download an artifact from."""
        raw = self.call("GET", f"artifacts/{artifact_id}")
        url = str(self.http.base_url.join(raw["url"]))
        return ArtifactSource(url=url, digest=raw["artifact"]["file_hash"], size=raw["artifact"].get("size"))

    def secret(self, secret_id: str) -> str:
        """The value of one secret."""
        return str(self.call("GET", f"secrets/{secret_id}")["value"])

    def inference_access(self, api_key: str) -> bool:
        """Whether an API key may call the models here."""
        return bool(self.call("POST", "deployments/inference-access", {"api_key": api_key})["authorized"])

    @contextlib.contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """Stream the bytes at a signed URL."""
        try:
            with self.files.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise BucketRefused(answer.status_code, "The bucket did not give the model file")
                yield self.until_interrupted(answer.iter_bytes(CHUNK))
        except httpx.TransportError as error:
            raise BucketAway(f"The model file could not be downloaded: {error}") from error

    def until_interrupted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks, as long as the satellite is not to stop."""
        for chunk in chunks:
            if self.closing.is_set():
                raise BucketAway("The satellite is stopping")
            yield chunk

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        tries: int = TRIES,
        wait: float = 0.0,
    ) -> Any:
        """One call, repeated while the platform is away; returns the decoded JSON. `wait`: how long (seconds) the
        platform may hold its answer back.
        """
        for attempt in range(1, tries + 1):
            try:
                return self.call_once(method, path, body, query, wait)
            except PlatformAway:
                pause = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 (jitter, not a secret)
                if attempt == tries or self.closing.wait(pause):
                    raise
        raise AssertionError("unreachable")

    def call_once(self, method: str, path: str, body: Any, query: dict[str, str] | None, wait: float) -> Any:
        """One call; every failure as one of the platform's errors."""
        if self.closing.is_set():
            raise PlatformAway("The satellite is stopping")
        try:
            answer = self.http.request(method, path, json=body, params=query, timeout=patience(READ_SECONDS + wait))
        except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: closed by another thread
            raise PlatformAway(f"The platform does not answer: {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        if answer.status_code in AWAY:
            raise PlatformAway(f"The platform answered {answer.status_code}")
        raise ERRORS.get(answer.status_code, PlatformError)(answer.status_code, detail_of(answer))


def patience(read_seconds: float) -> httpx.Timeout:
    """How long to wait: for the next bytes `read_seconds`."""
    return httpx.Timeout(READ_SECONDS, connect=5.0, read=read_seconds)


def detail_of(answer: httpx.Response) -> str:
    """The `detail` of an error, or what stands in its place."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase


def parse_task(raw: dict[str, Any]) -> Task:
    """A task from JSON."""
    return Task(
        id=str(raw["id"]),
        type=raw["type"],
        deployment_id=str(raw["payload"].get("deployment_id", "")),
        lease_token=raw.get("lease_token"),
    )
