"""Sockets to listen on."""

from __future__ import annotations

import socket

BACKLOG = 512


def listening_socket(host: str, port: int) -> socket.socket:
    """A TCP socket bound to host and port.

    The protocol is named: asyncio switches Nagle's delay off only on sockets that say they are TCP, and a delayed
    answer costs 44 ms on each keep-alive request.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener
