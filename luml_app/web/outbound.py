"""Connections that the pages make to addresses which tenants have chosen: their satellites and their buckets.

The pages run in this server's process, so what they can reach is what it can reach. Where tenants are strangers, the
operator forbids private addresses; they are looked at where it counts, when the connection is made.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Literal

import httpx

from luml_app.client.connections import options
from luml_app.core.addresses import is_public
from luml_app.core.settings import Settings

Place = Literal["satellite", "bucket"]
VARIABLES = {"satellite": "LUML_PRIVATE_SATELLITES", "bucket": "LUML_PRIVATE_BUCKETS"}


def open_http(settings: Settings, place: Place, **more: Any) -> httpx.Client:
    """A client for the satellites or the buckets of tenants. Its requests raise httpx.ConnectError where they may not
    go; this server itself, which is the address of the built-in store, they always may.
    """
    private = settings.private_satellites if place == "satellite" else settings.private_buckets
    if private == "allow":
        return httpx.Client(**options(**more))
    chosen = {name: value for name, value in options(**more).items() if name not in {"verify", "mounts"}}
    transport = PublicOnly(own=httpx.URL(settings.address), variable=VARIABLES[place])
    return httpx.Client(**chosen, transport=transport, trust_env=False)


class PublicOnly(httpx.HTTPTransport):
    """Connects to public addresses only, and to `own`. The name is resolved once, and the address that was looked at is
    the one that is connected to: a name that resolves differently the next time gains nothing.
    """

    def __init__(self, own: httpx.URL, variable: str) -> None:
        super().__init__()
        self.own = (own.host, own.port)
        self.variable = variable

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to an address that may be connected to."""
        url = request.url
        if (url.host, url.port) != self.own:
            request.url = url.copy_with(host=self._public_address(url))
            request.extensions = {**request.extensions, "sni_hostname": url.host}
        try:
            return super().handle_request(request)
        finally:
            request.url = url

    def _public_address(self, url: httpx.URL) -> str:
        try:
            found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"The name {url.host} is not known: {error}") from error
        for *_, address in found:
            if is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                return str(address[0])
        raise httpx.ConnectError(f"{url.host} is a private address, which this server may not call ({self.variable})")
