"""The node's side of the satellite's depot: files by their sha256, and the dynamic attributes of one replica.

Spoken over TLS with a certificate that came with the replica's secrets: no other is trusted.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

CHUNK = 1024 * 1024
FETCH_SECONDS = 60
# Longer than the satellite keeps a question open.
FOLLOW_SECONDS = 60


class DepotAway(Exception):  # noqa: N818
    """The satellite does not answer, or hung up on the way: it may do better in a moment."""


class DepotRefused(Exception):  # noqa: N818
    """The satellite does not have it, or what it gives is something else."""


class Depot:
    """The depot at `source` (`https://host:port`), as the replica `replica` may use it."""

    def __init__(self, source: str, replica: str, token: str, certificate: str) -> None:
        self.address = urlsplit(source)
        self.replica = replica
        self.headers = {"Authorization": f"Bearer {token}", "X-Replica": replica}
        self.context = ssl.create_default_context(cadata=certificate)
        # The certificate is the satellite's own and the only one trusted; addresses of machines change.
        self.context.check_hostname = False

    def fetch(self, parcel: str, path: Path) -> None:
        """Write a parcel to a file. Raises DepotAway, and DepotRefused when it is not what it should be."""
        seen = hashlib.sha256()
        connection = self.connect(FETCH_SECONDS)
        try:
            answer = self.ask(connection, f"/parcels/{parcel}")
            with path.open("wb") as sink:
                while chunk := answer.read(CHUNK):
                    seen.update(chunk)
                    sink.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename:
                raise
            raise DepotAway(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if seen.hexdigest() != parcel:
            raise DepotRefused(f"The satellite gave a file with sha256 {seen.hexdigest()} for {parcel}")

    def attributes(self, seen: str) -> tuple[str, dict[str, str] | None]:
        """What the attributes are now, and the version to ask with next; waits a while for others than those `seen`.

        None when they are the same. Raises DepotAway and DepotRefused.
        """
        connection = self.connect(FOLLOW_SECONDS)
        try:
            answer = self.ask(connection, f"/attributes?seen={seen}")
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DepotAway(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        found = json.loads(body)
        return found["version"], found["attributes"]

    def connect(self, seconds: float) -> http.client.HTTPSConnection:
        """A connection for one question."""
        host, port = self.address.hostname or "", self.address.port
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=self.context)

    def ask(self, connection: http.client.HTTPSConnection, path: str) -> http.client.HTTPResponse:
        """A good answer, its body not read yet."""
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            words = answer.read(200).decode(errors="replace").strip()
            raise (DepotAway if answer.status >= 500 else DepotRefused)(f"The satellite says {answer.status}: {words}")
        return answer
