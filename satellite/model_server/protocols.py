"""Which protocol is spoken at which path."""

from __future__ import annotations

from .contract import COMPUTE
from .exchange import Protocol

PROTOCOLS = {"/compute": COMPUTE}


def protocol_at(path: str) -> Protocol | None:
    """The protocol whose requests are posted to a path."""
    return PROTOCOLS.get(path)
