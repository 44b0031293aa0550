"""One worker: an event loop that accepts connections on the shared socket, and the model in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Any

import uvloop

from .app import ModelApp
from .board import BEAT_SECONDS, STATES, Board, Lines
from .door import Door
from .engine import Engine, Limits
from .handover import Handover, HandoverMissing
from .model import LoadedModel, ModelSlot
from .settings import ServerSettings, add_to_environment

GRACE_SECONDS = 10.0
IDLE_LOOK_SECONDS = 10.0
LOADED_LOOK_SECONDS = 0.01
HEAD_LIMIT = 64 * 1024
# The exit code of a worker that wants to be replaced because its threads are all held by calls that do not end.
STUCK = 70


class Worker:
    """Serves until SIGTERM, or until the supervisor is gone. It accepts connections once it has done with loading."""

    def __init__(
        self, settings: ServerSettings, listener: socket.socket, board: Board, number: int, lines: Lines
    ) -> None:
        self.settings = settings
        self.listener = listener
        self.board = board
        self.number = number
        self.lines = lines
        self.handover = Handover(settings.handover)
        self.slot = ModelSlot()
        self.app = ModelApp(self.slot, settings.body_limit, self.start_engine, board.health)
        self.app.connections.door = Door(self.handover.door())
        self.tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> None:
        """Serve, or serve why not.

        Secret variables join the environment here, and not when the process is started: what it was started with can
        be read from outside.
        """
        try:
            add_to_environment(self.handover.variables())
        except HandoverMissing as error:
            print(error, file=sys.stderr)
            self.slot.fail(str(error))
        else:
            self.slot.load_in_background(self.settings.model)
        uvloop.run(self.serve())

    async def serve(self) -> None:
        """Accept connections until told to stop, then let what is under way finish."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, stop.set)
        loop.add_reader(self.lines.lifeline, stop.set)
        server = await self.start(loop, stop)
        if server:
            self.beat(loop)
            self.look_for_idle(loop)
            await stop.wait()
            server.close()
        loop.remove_reader(self.lines.lifeline)
        await self.drain(loop)

    async def start(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> asyncio.Server | None:
        """Begin to accept when the model is there, or is known not to come; None when told to stop before that."""
        while self.slot.state == "loading":
            if stop.is_set():
                return None
            await asyncio.sleep(LOADED_LOOK_SECONDS)
        if self.slot.error:
            self.board.error = self.slot.error
        loop.add_reader(self.lines.channel, self.take_over, loop)
        return await loop.create_server(self.app.connections.accept, sock=self.listener)

    def take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on with a connection that the supervisor has accepted, and read the beginning of, in our absence."""
        head, (descriptor, *_), _, _ = socket.recv_fds(self.lines.channel, HEAD_LIMIT, 1)
        taken = socket.socket(fileno=descriptor)
        taken.setblocking(False)
        task = loop.create_task(loop.connect_accepted_socket(lambda: self.app.connections.accept(head), taken))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the requests under way, for a while."""
        connections, end = self.app.connections, loop.time() + GRACE_SECONDS
        connections.drain()
        while connections.open and loop.time() < end:
            await asyncio.sleep(0.02)

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the supervisor that the loop turns, and how far the model has come."""
        self.board.beat(self.number, STATES.index(self.slot.state))
        loop.call_later(BEAT_SECONDS, self.beat, loop)

    def look_for_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close connections that nobody uses."""
        self.app.connections.close_idle()
        loop.call_later(IDLE_LOOK_SECONDS, self.look_for_idle, loop)

    def start_engine(self, model: LoadedModel) -> Engine:
        """What runs the model."""
        settings = self.settings
        limits = Limits(
            queue=settings.queue,
            seconds=settings.request_seconds,
            delay=settings.batch_delay_ms / 1000,
            rows=settings.batch_rows,
        )
        return Engine(model, limits, self.handover.attributes, stuck=self.give_way)

    def give_way(self) -> None:
        """End, so that the supervisor starts another; what is still to be sent is sent first."""
        asyncio.get_running_loop().call_later(0.1, os._exit, STUCK)
