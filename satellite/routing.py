"""What the gateway is told: which replicas serve a deployment, with which shares and bounds."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

from satellite import reasons
from satellite.deployments import Deployment
from satellite.gateway.routes import Backend, Route, Routes, RouteWriter
from satellite.plan import Replica, Served, Share
from satellite.specs import Specs


class Unrouted(Exception):  # noqa: N818
    """The gateway's table cannot be written, so callers are served as before."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.reason = reasons.of_os_error(error)


class Routing:
    """The gateway's table of routes, written by this satellite alone. For any number of threads."""

    def __init__(self, path: Path, specs: Specs, base_url: str) -> None:
        self.specs = specs
        self.base_url = base_url
        self.writer = RouteWriter(path)
        self.lock = threading.Lock()

    @property
    def table(self) -> Routes:
        """All routes."""
        return self.writer.table

    def get(self, deployment_id: str) -> Route | None:
        """The route of one deployment."""
        return self.writer.get(deployment_id)

    def keep(self, deployment: Deployment, served: tuple[Served, ...], otherwise: str) -> int:
        """Route to what serves; where nothing does, say why."""
        if not served:
            return self.set(deployment.id, Route(cast(Any, otherwise)))
        serving = self.specs.serving_now(deployment)
        return self.set(
            deployment.id,
            Route(
                "ready",
                backends(served),
                self.inference_url(deployment.id),
                concurrency=serving.concurrency,
                queue=serving.queue,
                request_seconds=serving.request_seconds,
                monitoring=serving.monitoring,
                numbers=self.numbers(deployment, served),
            ),
        )

    def numbers(self, deployment: Deployment, served: tuple[Served, ...]) -> dict[str, str]:
        """What people call the revisions that serve; what is on its way out is known from the route that it had."""
        before = self.get(deployment.id)
        wanted = {one.revision.id: str(one.revision.number) for one in deployment.targets if one.revision.number}
        known = {**(before.numbers if before else {}), **wanted}
        serving = {one.replica.observed.revision_id for one in served}
        return {revision: number for revision, number in known.items() if revision in serving}

    def set(self, deployment_id: str, route: Route | None) -> int:
        """Change the gateway's table; returns the version that holds the change. Raises Unrouted."""
        with self.lock:
            try:
                return self.writer.set(deployment_id, route)
            except OSError as error:
                raise Unrouted(error) from error

    def shares(self, deployment_id: str, replicas: list[Replica]) -> dict[str, Share]:
        """Which part each replica has in serving now."""
        route = self.get(deployment_id)
        by_url = {one.url: (one.weight, one.mirror) for one in route.backends} if route else {}
        urls = {replica.key: replica.observed.url or "" for replica in replicas}
        return {key: by_url[url] for key, url in urls.items() if url in by_url}

    def inference_url(self, deployment_id: str) -> str:
        """Where callers reach a deployment."""
        return f"{self.base_url}/deployments/{deployment_id}/compute"


def backends(served: tuple[Served, ...]) -> tuple[Backend, ...]:
    """What serves, as the gateway's table has it."""
    return tuple(
        Backend(seen.url or "", seen.revision_id, seen.digest, one.weight, one.mirror)
        for one in served
        for seen in [one.replica.observed]
    )
