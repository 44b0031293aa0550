"""Which addresses a webhook may have: public ones, and those that the operator allows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from luml_app.core.addresses import Address, is_public
from luml_app.schemas.errors import ConfigurationError, Invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NOT_PUBLIC = "The address is not in a public network, or not reached over https."


class AddressRules:
    """https to public networks; within `allowed` (``10.0.0.0/8, ::1/128``) also to private ones, and without TLS.

    Raises ConfigurationError for networks that are none.
    """

    def __init__(self, allowed: str | None) -> None:
        self._allowed = _networks(allowed or "")

    def check_url(self, url: str) -> Any:
        """The parts of an address. Refuses what can be seen to be wrong before anybody connects: raises Invalid."""
        parts = _split(url)
        schemes = ("https", "http") if self._allowed else ("https",)
        if parts.scheme not in schemes or not parts.hostname:
            raise Invalid.field("url", "Give an address that begins with https:// and names a host.")
        if parts.username is not None or parts.password is not None:
            raise Invalid.field("url", "Give no user or password in the address; receivers check the signature.")
        literal = _literal(parts.hostname)
        if literal is not None and not self.may_reach(literal, parts.scheme):
            raise Invalid.field("url", f"{NOT_PUBLIC} The operator may allow networks: LUML_WEBHOOK_NETWORKS.")
        return parts

    def may_reach(self, address: Address, scheme: str) -> bool:
        """Whether to connect to this very address."""
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain in network for network in self._allowed):
            return True
        return scheme == "https" and is_public(plain)


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Invalid.field("url", "This is not an address.") from error
    return parts


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _networks(text: str) -> Sequence[Network]:
    try:
        return [ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise ConfigurationError(f"LUML_WEBHOOK_NETWORKS: {error}; give networks such as 10.0.0.0/8.") from error
