"""The table that says where each deployment is served: written by the satellite, read by the gateway.

It is a file, so the gateway keeps serving while the satellite restarts.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import msgspec

from satellite.model_server.files import write_whole

State = Literal["ready", "starting", "asleep", "failed"]
"""While a deployment is starting, requests wait for it; one that is asleep is woken by them."""


class Backend(msgspec.Struct, frozen=True):
    """One model server. All backends of one `revision` share its `weight` (percent of the requests); a `mirror` gets
    copies of requests, and its answers are dropped.
    """

    url: str
    revision: str
    digest: str
    weight: int = 100
    mirror: bool = False


class Route(msgspec.Struct, frozen=True):
    """Where one deployment is served: `backends`, once there are some.

    `concurrency` and `queue` (requests) and `request_seconds` are the deployment's own; None: as the gateway is set.
    `monitoring`: percent of the requests that are recorded, under the `numbers` that people know revisions by.
    """

    state: State
    backends: tuple[Backend, ...] = ()
    inference_url: str = ""
    concurrency: int | None = None
    queue: int | None = None
    request_seconds: float | None = None
    monitoring: float = 0
    numbers: dict[str, str] = {}


class Routes(msgspec.Struct, frozen=True):
    """All routes. `version` grows with every change, so that the writer can tell when the reader has caught up."""

    version: int = 0
    routes: dict[str, Route] = {}


class RouteWriter:
    """The satellite's side: keeps the table and writes it whenever it changes. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = read_routes(path) or Routes()

    def get(self, deployment_id: str) -> Route | None:
        """The route of one deployment."""
        return self.table.routes.get(deployment_id)

    def set(self, deployment_id: str, route: Route | None) -> int:
        """Put or (None) remove a route; returns the version of the table that holds the change.

        Raises OSError when the disk does not take it; the table is then as it was.
        """
        if self.get(deployment_id) == route:
            return self.table.version
        routes = {name: kept for name, kept in self.table.routes.items() if name != deployment_id}
        if route:
            routes[deployment_id] = route
        table = Routes(self.table.version + 1, routes)
        write_whole(self.path, msgspec.json.encode(table).decode())
        self.table = table
        return table.version


class RouteReader:
    """The gateway's side: looks at the file when it is asked to, and keeps the last table it could read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = Routes()
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Read the table again if the file is another one."""
        with contextlib.suppress(OSError):
            stat = self.path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._seen and (table := read_routes(self.path)):
                self.table, self._seen = table, seen


def read_routes(path: Path) -> Routes | None:
    """The table in a file; None when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Routes)
    except (OSError, msgspec.MsgspecError):
        return None
