"""Addresses of buckets elsewhere. A tenant types them in, so they say where this server may be made to connect to."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from typing import Any
from urllib.parse import SplitResult, urlsplit

from luml_app.core.addresses import is_public
from luml_app.schemas.errors import Invalid


class PrivateAddress(OSError):  # noqa: N818 - named as the other errors of the project are
    """This server does not connect to private addresses (LUML_PRIVATE_BUCKETS)."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, self.__doc__)


def endpoint_url(endpoint: str, *, secure: bool | None = None, field: str = "endpoint") -> str:
    """The address in full, without a slash at the end: ``https`` unless it names a scheme or `secure` is False.

    Raises `Invalid` for what is not the http(s) address of a host.
    """
    scheme = "http" if secure is False else "https"
    split = _split(endpoint if "://" in endpoint else f"{scheme}://{endpoint}", field)
    if split.scheme not in {"http", "https"}:
        raise Invalid.field(field, "Use an http or https address.")
    if split.username is not None or split.password is not None:
        raise Invalid.field(field, "An address may not hold a name or password; credentials have fields of their own.")
    if not split.hostname or split.query or split.fragment or not re.fullmatch(r"[!-~]+", endpoint):
        raise Invalid.field(field, "Give the address of the service, such as https://s3.eu-central-1.amazonaws.com.")
    return f"{split.scheme}://{split.netloc}{split.path.rstrip('/')}"


def _split(address: str, field: str) -> SplitResult:
    try:
        split = urlsplit(address)
        _ = split.port  # is checked when it is read
    except ValueError as error:
        raise Invalid.field(field, f"This is not an address: {error}.") from error
    return split


def refuse_private_literal(url: str, field: str = "endpoint") -> None:
    """Raise `Invalid` for an address that is private in plain sight; names are looked at when they are resolved."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        private = host == "localhost" or host.endswith(".localhost")
    else:
        private = not is_public(address)
    if private:
        raise Invalid.field(field, PrivateAddress.__doc__ or "")


def public_socket(address: Any) -> socket.socket:
    """A socket for one resolved address (as ``socket.getaddrinfo`` gives it), just before it is connected.

    Here, and not when the name is looked up earlier: between two look-ups a name can change what it stands for.
    Raises `PrivateAddress`.
    """
    family, kind, protocol, _, place = address
    if not is_public(ipaddress.ip_address(str(place[0]).partition("%")[0])):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


def is_loopback(url: str) -> bool:
    """Whether the address is this machine, to which no proxy knows a way."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
