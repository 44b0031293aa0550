"""Runs the server: one listening socket, one model loading in the background, uvicorn in front."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import uvicorn

from .app import ModelApp
from .handover import Handover, HandoverMissing
from .model import ModelSlot
from .settings import ServerSettings, builder_arguments, builder_environment, from_arguments

GRACE_SECONDS = 10
BACKLOG = 512


def main(argv: list[str]) -> int:
    """Run the server, or with `environment` as the first word build an environment."""
    if argv[:1] == ["environment"]:
        return provide_environment(argv[1:])
    try:
        serve(from_arguments(argv))
    except HandoverMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


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


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT; a model that fails to load keeps serving its failure on `/healthz`.

    Secret variables join the environment here, and not when the process is started: what it was started with can be
    read from outside. Raises HandoverMissing.
    """
    handover = Handover(settings.handover)
    os.environ.update(handover.variables())
    listener = listening_socket(settings.host, settings.port)
    slot = ModelSlot()
    app = ModelApp(slot, settings.body_limit, handover.attributes)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    slot.load_in_background(settings.model)
    if settings.port_file:
        write_whole(settings.port_file, str(listener.getsockname()[1]))
    uvicorn.Server(config).run(sockets=[listener])


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
