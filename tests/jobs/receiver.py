"""A receiver of webhooks: a real HTTPS server with a certificate of a CA of the test's own, that does as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.0/8, ::1/128"  # where receivers listen


@dataclass
class Received:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[BaseHTTPRequestHandler, Received], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answers always so."""

    def act(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return act


@dataclass
class Receiver:
    """Listens on a loopback port. `behaviours` are taken one after the other, the last one for ever."""

    certificate: Path | None
    behaviours: list[Behaviour] = field(default_factory=lambda: [answer(204)])
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                one = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                with outer.lock:
                    outer.received.append(one)
                    act = outer.behaviours[0] if len(outer.behaviours) == 1 else outer.behaviours.pop(0)
                act(self, one)

            def log_message(self, *_: Any) -> None:
                pass

        self.lock = threading.Lock()
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that leave are expected
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'http' if self.certificate is None else 'https'}://localhost:{self.port}/hooks/of/luml?a=b"

    def hang(self) -> Behaviour:
        """Answers nothing until the test is over."""

        def act(*_: Any) -> None:
            self.released.wait(60)

        return act

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


Open = Callable[..., Receiver]


def verified(secret: str, received: Any) -> bool:
    """The check of a receiver, written from the specification alone."""
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    digest = hmac.new(base64.b64decode(secret[len("whsec_") :]), signed, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return expected in received.headers["webhook-signature"].split(" ")


def make_authority(folder: Path) -> tuple[Path, Path]:
    """A certificate authority and a certificate of it for localhost: the authority's file, and the server's."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
    usage = x509.KeyUsage(True, *[False] * 4, True, True, False, False)
    authority = _signed(name, name, authority_key, authority_key).add_extension(x509.BasicConstraints(True, 0), True)
    ca = authority.add_extension(usage, True).sign(authority_key, hashes.SHA256())
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = _signed(host, name, server_key, authority_key).add_extension(x509.SubjectAlternativeName(names), False)
    leaf = server.add_extension(x509.BasicConstraints(False, None), True).sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(private + leaf.public_bytes(pem))
    return folder / "ca.pem", folder / "server.pem"


def _signed(subject: x509.Name, issuer: x509.Name, key: Any, issuer_key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
