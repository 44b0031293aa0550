"""The gateway's own certificate, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

log = logging.getLogger("satellite.gateway")


class Certificate:
    """A chain and its key in two PEM files. `context` is for the server; `refresh` looks at the files.

    Raises OSError (ssl.SSLError is one) where they cannot be used.
    """

    def __init__(self, chain: str, key: str) -> None:
        self.chain, self.key = Path(chain), Path(key)
        self.seen = self.stamps()
        self.context = self.load(new_context())

    def stamps(self) -> tuple[int, ...]:
        """Changes when a file does."""
        return tuple(
            number for path in (self.chain, self.key) for number in (path.stat().st_mtime_ns, path.stat().st_ino)
        )

    def load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Put the files' content into a context."""
        context.load_cert_chain(self.chain, self.key)
        return context

    def refresh(self) -> None:
        """Use new files for new connections. Files that do not fit together, as while they are replaced, wait."""
        try:
            stamps = self.stamps()
            if stamps == self.seen:
                return
            self.load(new_context())
            self.load(self.context)
            self.seen = stamps
            log.warning("The certificate was read again")
        except OSError as error:
            log.warning("The new certificate cannot be used, the old one stays: %s", error)


def new_context() -> ssl.SSLContext:
    """TLS 1.2 at least, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
