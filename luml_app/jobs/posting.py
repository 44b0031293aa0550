"""A POST to an address that somebody of the outside has chosen: to places that the rules allow, once, and not for long.

The address is checked where it counts, on the connection: after the name has been resolved, and for the very address
that is connected to. A name that resolves differently the next time gains nothing by it. Redirects are not followed and
proxies of the environment not asked.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from luml_app.jobs.addresses import NOT_PUBLIC, AddressRules
from luml_app.schemas.errors import ConfigurationError, Invalid

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
ANSWER_BYTES = 1024
_TOO_LATE = "No whole answer within"


@dataclass(frozen=True)
class Outcome:
    """What came of a POST: the status and the first bytes of the answer, or the error; and how long it took."""

    milliseconds: int
    status: int | None = None
    answer: str | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has taken it."""
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Posts where `rules` allow it. `ca_file` names certificates to trust beside those of the machine.

    Raises ConfigurationError for a file without certificates.
    """

    def __init__(self, rules: AddressRules, ca_file: str | None) -> None:
        self.rules = rules
        self._trust = _trust(ca_file)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """POST once; whatever goes wrong is in the outcome."""
        started = time.monotonic()
        try:
            status, answer = self._exchange(url, body, headers)
        except (OSError, http.client.HTTPException, Invalid, ValueError) as error:
            spent = time.monotonic() - started
            said = f"{_TOO_LATE} {TOTAL_SECONDS:g} s." if spent >= TOTAL_SECONDS else _explained(error)
            return Outcome(round(spent * 1000), error=said)
        return Outcome(round((time.monotonic() - started) * 1000), status, answer)

    def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        parts = self.rules.check_url(url)
        with _deadline() as deadline:
            connection = self._connect(parts, deadline)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            answer = connection.getresponse()
            taken = answer.status, _text(answer.read(ANSWER_BYTES))
            # What was cut off in the middle of its headers looks like an answer that has ended.
            if deadline.passed.is_set():
                raise TimeoutError(_TOO_LATE)
            return taken

    def _connect(self, parts: Any, deadline: _Deadline) -> http.client.HTTPConnection:
        """A connection whose socket is made here, to an address that was looked at."""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        connection = http.client.HTTPConnection(parts.hostname, port)
        connection.sock = deadline.guard(self._open(parts.hostname, port, parts.scheme))
        if secure:
            connection.default_port = 443  # which the Host header leaves out
            wrapped = self._trust.wrap_socket(
                connection.sock, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
            connection.sock = deadline.guard(wrapped)
            wrapped.do_handshake()
        return connection

    def _open(self, host: str, port: int, scheme: str) -> socket.socket:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        reachable = [one for one in found if self.rules.may_reach(ipaddress.ip_address(one[4][0]), scheme)]
        problem: Exception = Invalid(NOT_PUBLIC)
        for family, kind, protocol, _, address in reachable[:3]:
            opened = socket.socket(family, kind, protocol)
            opened.settimeout(CONNECT_SECONDS)
            try:
                opened.connect(address)
            except OSError as error:
                opened.close()
                problem = error
            else:
                opened.settimeout(TOTAL_SECONDS)
                return opened
        raise problem


class _Deadline:
    """Cuts sockets off when the time is over: time-outs of sockets begin anew with every byte."""

    def __init__(self) -> None:
        self.passed = threading.Event()
        self._sockets: list[socket.socket] = []

    def guard(self, opened: Any) -> Any:
        """Cut this one off, too."""
        self._sockets.append(opened)
        return opened

    def cut(self) -> None:
        """End every exchange."""
        self.passed.set()
        for opened in self._sockets:
            with contextlib.suppress(OSError):  # not connected any more
                opened.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the sockets."""
        for opened in self._sockets:
            opened.close()


@contextmanager
def _deadline() -> Iterator[_Deadline]:
    deadline = _Deadline()
    timer = threading.Timer(TOTAL_SECONDS, deadline.cut)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        deadline.close()


def _trust(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"LUML_WEBHOOK_CA_FILE={ca_file} holds no certificates: {error}") from error
    return context


def _text(raw: bytes) -> str:
    """The first bytes of an answer as text that can be stored and shown."""
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _explained(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:300]
