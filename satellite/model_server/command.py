"""What the model server's command line does. Nothing heavy is imported before it is known to be needed."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from .settings import builder_arguments, builder_environment, from_arguments

BACKLOG = 512


def main(argv: list[str]) -> int:
    """Run the server, or what the first word says: build an `environment`, start on a `node`; returns the exit code."""
    if argv[:1] == ["environment"]:
        return provide_environment(argv[1:])
    if argv[:1] == ["node"]:
        from . import node

        return node.start(argv[1:])
    from .supervisor import Supervisor

    return Supervisor(from_arguments(argv)).run()


def provide_environment(argv: list[str]) -> int:
    """Make one environment in a folder; returns the exit code."""
    from . import environment

    spec, folder = builder_arguments(argv)
    try:
        environment.provide(environment.spec_from_json(spec), folder, builder_environment())
    except environment.BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


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


def write_whole(path: Path, text: str) -> None:
    """Write a file that readers see complete or not at all."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text)
    unfinished.replace(path)
