"""Entry of the gateway's own process: settings on standard input, SIGTERM ends it after the requests in hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import msgspec
import tornado.httpserver

from satellite.gateway.app import REFRESH_SECONDS, application
from satellite.gateway.dispatch import Gateway
from satellite.gateway.settings import GatewaySettings, GatewayState
from satellite.model_server.command import listening_socket, write_whole

GRACE_SECONDS = 10.0
PORT_TAKEN = 3


async def serve(settings: GatewaySettings, listener: socket.socket) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    gateway = Gateway(settings)
    gateway.refresh()
    # Bodies are counted by the handler, which can answer 413; Tornado itself would only hang up.
    server = tornado.httpserver.HTTPServer(application(gateway), max_body_size=1 << 40)
    listener.setblocking(False)
    server.add_socket(listener)
    state = GatewayState(os.getpid(), listener.getsockname()[1], settings.fingerprint)
    write_whole(settings.state, msgspec.json.encode(state).decode())
    # Without its folder nobody can find or stop it any more: a gateway does not outlive its installation.
    while not stop.is_set() and settings.routes.parent.is_dir():
        gateway.refresh()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
    server.stop()
    await finish(gateway)
    await server.close_all_connections()


async def finish(gateway: Gateway) -> None:
    """Let the requests in hand end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            while gateway.waiting:
                await asyncio.sleep(REFRESH_SECONDS)


def main() -> int:
    """Read the settings, bind, serve."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=GatewaySettings)
    try:
        listener = listening_socket(settings.host, settings.port)
    except OSError as error:
        print(f"The gateway cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return PORT_TAKEN
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(serve(settings, listener))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
