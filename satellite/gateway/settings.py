"""What the gateway is told when it starts: one JSON document on its standard input, never in its environment."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from satellite.logs.kept import LOGS, REQUESTS


class GatewaySettings(msgspec.Struct, frozen=True):
    """Where to listen, whom to ask about keys, and the limits. Times in seconds, sizes in bytes.

    `hold_seconds`: how long a request may wait for a model server to come back when none can be reached.
    A good key is asked about again after `fresh_seconds`; while nobody answers, it is good for `stale_seconds`.
    `slow_seconds`: how long a caller may take to send the head of a request, and to begin with its body.
    `held_limit`: how much all bodies of requests together may hold, in memory and on disk.
    `listener`: the number of the open file that is the listening socket, where the gateway is handed one; it then binds
    none itself.
    `base_path`: what a proxy in front may leave before the paths. `tls_chain`, `tls_key`: PEM files, or nothing.
    """

    host: str
    port: int
    folder: str
    platform_url: str
    token: str
    body_limit: int
    queue_limit: int
    concurrency: int
    request_seconds: float
    hold_seconds: float
    stale_seconds: float
    fresh_seconds: float = 60.0
    slow_seconds: float = 30.0
    held_limit: int = 1024 * 1024 * 1024
    base_path: str = ""
    tls_chain: str = ""
    tls_key: str = ""
    listener: int | None = None

    @property
    def routes(self) -> Path:
        """The route table, written by the satellite."""
        return Path(self.folder) / "routes.json"

    @property
    def logs(self) -> Path:
        """What the satellite keeps of what models print."""
        return Path(self.folder) / LOGS

    @property
    def requests(self) -> Path:
        """The requests that are recorded."""
        return Path(self.folder) / REQUESTS

    @property
    def state(self) -> Path:
        """Where the gateway says which process it is and where it listens."""
        return Path(self.folder) / "gateway.json"

    @property
    def fingerprint(self) -> str:
        """Equal for equal settings, apart from the port: a running gateway with the same one may be kept."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, port=0, listener=None))).hexdigest()


class GatewayState(msgspec.Struct, frozen=True):
    """A running gateway, as written to its folder."""

    pid: int
    port: int
    fingerprint: str
