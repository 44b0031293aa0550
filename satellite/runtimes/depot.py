"""Where the nodes of a swarm fetch what their replicas need: a small HTTPS server of the satellite.

A replica proves itself with the token that came with its secrets. It may have any parcel (who knows a sha256 knows what
it is of), and its own dynamic attributes.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import json
import logging
import re
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from satellite.model_server.files import write_whole
from satellite.model_server.handover import ATTRIBUTES, read_texts
from satellite.runtimes.handover import Handovers
from satellite.runtimes.parcels import Parcels, write_parcel

log = logging.getLogger("satellite.swarm")

FOLLOW_SECONDS = 25.0
IDLE_SECONDS = 60
PARCEL = re.compile(r"/parcels/([0-9a-f]{64})")
TEN_YEARS = datetime.timedelta(days=3650)


class Depot:
    """The server. `open` before anything is handed over; what it was known by survives restarts, in `folder`."""

    def __init__(self, folder: Path, parcels: Parcels, handovers: Handovers) -> None:
        self.folder = folder
        self.parcels = parcels
        self.handovers = handovers
        self.changed = threading.Condition()
        self.closing = False
        self.server: DepotServer | None = None

    def open(self, port: int) -> int:
        """Listen, at `port` or (0) where it did before; returns the port. Raises OSError."""
        if self.server is None:
            folder = self.folder
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.secret = bytes.fromhex(kept(folder / "secret", secrets.token_hex))
            self.certificate = kept(folder / "certificate.pem", make_certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "certificate.pem")
            self.server = DepotServer(("", port or earlier_port(folder)), Handler)
            self.server.depot, self.server.context = self, context
            write_whole(folder / "port", str(self.server.server_port))
            threading.Thread(target=self.server.serve_forever, name="depot", daemon=True).start()
        return self.server.server_port

    def close(self) -> None:
        """Answer nobody any more."""
        self.closing = True
        self.tell()
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def tell(self) -> None:
        """The attributes of some replica are others now."""
        with self.changed:
            self.changed.notify_all()

    def word(self, use: str, text: str) -> str:
        """A word that only this satellite can make."""
        return hmac.new(self.secret, f"{use}\0{text}".encode(), hashlib.sha256).hexdigest()[:32]

    def public_certificate(self) -> str:
        """What replicas are to trust: the certificate without its key."""
        return self.certificate[self.certificate.index("-----BEGIN CERTIFICATE") :]

    def attributes(self, key: str, seen: str) -> dict[str, Any] | None:
        """The attributes of a replica and their version, once that is not the one seen; None of a replica unknown."""

        def now() -> tuple[str, dict[str, str]] | None:
            with contextlib.suppress(OSError, ValueError):
                texts = read_texts(self.handovers.folder / key / ATTRIBUTES)
                return self.word("version", json.dumps(texts, sort_keys=True)), texts
            return None

        with self.changed:
            self.changed.wait_for(lambda: self.closing or (now() or [""])[0] != seen, FOLLOW_SECONDS)
        if (found := now()) is None:
            return None
        return {"version": found[0], "attributes": None if found[0] == seen else found[1]}


class DepotServer(ThreadingHTTPServer):
    """Shakes hands in the thread of the connection: nobody who is slow at that holds up others."""

    depot: Depot
    context: ssl.SSLContext
    daemon_threads = True
    request_queue_size = 128

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        request.settimeout(IDLE_SECONDS)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A node that hung up; it asks again."""
        log.warning("The node at %s could not be answered", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """`GET /parcels/<sha256>` and `GET /attributes?seen=<version>`."""

    server: DepotServer

    def do_GET(self) -> None:
        """Answer one question."""
        key = self.headers.get("X-Replica", "")
        token = f"Bearer {self.server.depot.word('token', key)}"
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), token.encode()):
            self.refuse(401, "the token is not this replica's")
        elif parcel := PARCEL.fullmatch(self.path):
            self.give(parcel.group(1))
        elif (address := urlsplit(self.path)).path == "/attributes":
            self.tell_attributes(key, parse_qs(address.query).get("seen", [""])[0])
        else:
            self.refuse(404, "there is nothing of that name")

    def give(self, digest: str) -> None:
        """A parcel, made while it is sent. Its length is not known before: the connection's end is its end."""
        content = self.server.depot.parcels.find(digest)
        if content is None:
            self.refuse(404, f"parcel {digest} is not here any more; restart the deployment")
            return
        self.send_response(200)
        self.end_headers()
        write_parcel(content, self.wfile)

    def tell_attributes(self, key: str, seen: str) -> None:
        """The dynamic attributes, as JSON."""
        found = self.server.depot.attributes(key, seen)
        if found is None:
            self.refuse(404, "nothing was handed to this replica")
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def refuse(self, status: int, words: str) -> None:
        """No, and why."""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(words.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing of what goes well is worth a line."""


def kept(path: Path, make: Any) -> str:
    """The text of a file that is made once, for nobody else to read."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    path.touch(mode=0o600)
    write_whole(path, make())
    path.chmod(0o600)
    return path.read_text()


def earlier_port(folder: Path) -> int:
    """The port of the last run: nodes ask there."""
    with contextlib.suppress(OSError, ValueError):
        return int((folder / "port").read_text())
    return 0


def make_certificate() -> str:
    """A key and a certificate of its own, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LUML satellite")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + TEN_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()
