"""Entry of the gateway's own process: settings on standard input, SIGTERM ends it after the requests in hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time

import msgspec

from satellite.gateway.app import App
from satellite.gateway.connection import Server
from satellite.gateway.dispatch import Gateway
from satellite.gateway.settings import GatewaySettings, GatewayState
from satellite.gateway.tls import Certificate
from satellite.model_server.files import write_whole
from satellite.model_server.sockets import listening_socket
from satellite.privacy import keep_memory_private

GRACE_SECONDS = 10.0
REFRESH_SECONDS = 0.05
SWEEP_SECONDS = 1.0
HANDSHAKE_SECONDS = 10.0
PORT_TAKEN = 3
BACKLOG = 512
# Files that are no callers' connections: those to model servers, spooled bodies, the interpreter's own.
OTHER_FILES = 512
MOST_FILES = 16_384


async def serve(settings: GatewaySettings, listener: socket.socket, certificate: Certificate | None) -> None:
    """Serve until told to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    gateway = Gateway(settings)
    gateway.refresh()
    server = Server(App(gateway), connection_limit(), settings.slow_seconds)
    listener.setblocking(False)
    acceptor = await loop.create_server(
        server.connect,
        sock=listener,
        backlog=BACKLOG,
        ssl=certificate.context if certificate else None,
        ssl_handshake_timeout=HANDSHAKE_SECONDS if certificate else None,
    )
    state = GatewayState(os.getpid(), listener.getsockname()[1], settings.fingerprint)
    write_whole(settings.state, msgspec.json.encode(state).decode())
    # Without its folder nobody can find or stop it any more: a gateway does not outlive its installation.
    while not stop.is_set() and settings.routes.parent.is_dir():
        gateway.refresh()
        look_after(server, certificate)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
    acceptor.close()
    server.begin_stop()
    await finish(server)


def look_after(server: Server, certificate: Certificate | None) -> None:
    """What is due every second."""
    if time.monotonic() - server.swept >= SWEEP_SECONDS:
        server.sweep()
        if certificate:
            certificate.refresh()


async def finish(server: Server) -> None:
    """Let the requests in hand end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            while server.busy:
                await asyncio.sleep(REFRESH_SECONDS)
    for connection in list(server.connections):
        connection.transport.close()
    await asyncio.sleep(0)


def connection_limit() -> int:
    """As many connections as this process may have files open, of which it takes as many as it is given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        soft = max(soft, wanted)
    return max(16, soft - OTHER_FILES)


def given_socket(number: int | None) -> socket.socket | None:
    """The listening socket that the satellite holds, too, so that callers can wait in it for the next gateway."""
    return None if number is None else socket.socket(fileno=number)


def main() -> int:
    """Read the settings, bind, serve."""
    keep_memory_private()
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=GatewaySettings)
    try:
        certificate = Certificate(settings.tls_chain, settings.tls_key) if settings.tls_chain else None
    except OSError as error:
        print(f"The gateway cannot use the certificate {settings.tls_chain} with its key: {error}", file=sys.stderr)
        return PORT_TAKEN
    try:
        listener = given_socket(settings.listener) or listening_socket(settings.host, settings.port)
    except OSError as error:
        print(f"The gateway cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return PORT_TAKEN
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(serve(settings, listener, certificate))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
