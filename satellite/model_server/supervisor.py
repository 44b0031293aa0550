"""Keeps the workers of a model server running. It never imports the model, nor anything that a model might break.

The listening socket is its own, and outlives workers. While none of them accepts connections, because all are still
loading, or sit in a call that does not let go of the interpreter, the supervisor accepts them itself: `/healthz` is
always answered. Requests for a worker that is being replaced are held, and handed to the next one.

Each worker loads the model by itself. Loading once and forking would share its memory, but the native libraries of
most models have threads by then, which do not survive a fork and leave locked what they had locked.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .board import LOADING, READY, SILENT_SECONDS, Board, Lines
from .door import Door
from .files import write_whole
from .handover import Handover
from .settings import ServerSettings, share_processors
from .sockets import listening_socket

TURN_SECONDS = 0.25
# Longer than a worker's own patience with what is under way.
STOP_SECONDS = 11.0
# A worker that sits in one call for so long, where no other limit is set, is replaced.
STUCK_SECONDS = 120.0
# How long a request is held for a worker that is being replaced.
HOLD_SECONDS = 30.0
HOLD_HEALTH_SECONDS = 1.0
VISIT_SECONDS = 5.0
# A connection that is closed before its request has been read to the end may lose the answer on the way.
LINGER_SECONDS = 0.5
HEALTH = (b"GET /healthz ", b"GET /v2/health/ready ", b"GET /v2/health/live ")
LIVE = (
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{"live":true}'
)
# Of the second and of the first generation of control groups.
OUT_OF_MEMORY_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
HEAD_LIMIT = 16 * 1024


@dataclass
class Place:
    """The place of one worker: who has it, since when, and when the next one may take it."""

    pid: int | None = None
    since: float = 0.0
    deaths: int = 0
    not_before: float = 0.0
    channel: socket.socket | None = None


@dataclass
class Visitor:
    """A connection that the supervisor has accepted itself; `asked` is None where the door's word is not known."""

    socket: socket.socket
    until: float
    head: bytes = b""
    asked: bytes | None = b""
    held: bool = False


class Supervisor:
    """The parent of all workers."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.board = Board(settings.workers)
        self.door = Door(Handover(settings.handover).door())
        self.places = [Place() for _ in range(settings.workers)]
        self.visitors: dict[int, Visitor] = {}
        self.stopping = False
        self.was_ready = False
        self.exit_code = 0
        self.lifeline = os.pipe()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code."""
        listener = listening_socket(self.settings.host, self.settings.port)
        listener.setblocking(False)
        if self.settings.port_file:
            write_whole(self.settings.port_file, str(listener.getsockname()[1]))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        share_processors(self.settings.workers)
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while not self.stopping:
            self.start_missing(listener)
            self.wait(listener, woken)
            self.reap()
            self.look()
        listener.close()
        self.stop_workers()
        return self.exit_code

    def stop(self, *_: object) -> None:
        """Leave the loop."""
        self.stopping = True

    def start_missing(self, listener: socket.socket) -> None:
        """Fill empty places; one whose workers keep dying waits longer each time."""
        for number, place in enumerate(self.places):
            if place.pid is None and time.monotonic() >= place.not_before:
                self.start_worker(number, place, listener)

    def start_worker(self, number: int, place: Place, listener: socket.socket) -> None:
        """Fork a worker. This process has no threads and has imported nothing, so the fork is as good as a start."""
        self.board.beat(number, LOADING)
        place.since = time.monotonic()
        if place.channel:
            place.channel.close()
        place.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        place.pid = os.fork()
        if place.pid == 0:
            os.close(self.lifeline[1])
            for ours in (*(one.socket for one in self.visitors.values()), *(one.channel for one in self.places)):
                if ours:
                    ours.close()
            be_worker(self.settings, listener, self.board, number, Lines(self.lifeline[0], theirs))
        theirs.close()

    def wait(self, listener: socket.socket, woken: int) -> None:
        """Until a worker has ended or a moment has passed; connections are taken where no worker does."""
        watched = [woken, *(number for number, visitor in self.visitors.items() if not visitor.held)]
        if self.unheard():
            watched.append(listener.fileno())
        with contextlib.suppress(InterruptedError):
            readable, _, _ = select.select(watched, [], [], TURN_SECONDS)
            for number in readable:
                if number == woken:
                    os.read(woken, 512)
                elif number == listener.fileno():
                    self.accept(listener)
                else:
                    self.hear(self.visitors[number])
        self.see_to_visitors()

    def unheard(self) -> bool:
        """Whether no worker accepts connections at the moment."""
        return next(self.attentive(), None) is None

    def attentive(self) -> Iterator[Place]:
        """The places of workers that accept connections: those that have done with loading, well or not."""
        for number, place in enumerate(self.places):
            accepts = self.board.state(number) != LOADING and self.board.silence(number) < SILENT_SECONDS
            if place.pid and accepts:
                yield place

    def see_to_visitors(self) -> None:
        """Hand those that are held to a worker that is there again; send away those who have been here for long."""
        place = next(self.attentive(), None)
        for visitor in list(self.visitors.values()):
            if visitor.held and place and place.channel:
                with contextlib.suppress(OSError):
                    socket.send_fds(place.channel, [visitor.head], [visitor.socket.fileno()])
                    self.dismiss(visitor)
            elif time.monotonic() > visitor.until:
                if visitor.held:
                    self.tell(visitor)
                self.dismiss(visitor)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection that nobody else takes."""
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self.visitors[connection.fileno()] = Visitor(connection, time.monotonic() + VISIT_SECONDS)

    def hear(self, visitor: Visitor) -> None:
        """Read what a visitor asks, and answer or hold it as soon as that is known."""
        try:
            chunk = visitor.socket.recv(HEAD_LIMIT)
        except OSError:
            chunk = b""
        visitor.head += chunk
        if not chunk or len(visitor.head) > 2 * HEAD_LIMIT:
            self.dismiss(visitor)
        elif b"\r\n\r\n" in visitor.head:
            visitor.asked = self.door.asked(visitor.head)
            if self.was_ready and visitor.asked is not None:
                patience = HOLD_HEALTH_SECONDS if visitor.asked.startswith(HEALTH) else HOLD_SECONDS
                visitor.held, visitor.until = True, time.monotonic() + patience
            else:
                self.tell(visitor)

    def tell(self, visitor: Visitor) -> None:
        """Say how the server is to whoever asks that, and to everybody else that there is nobody to compute."""
        health = {"status": "silent"} if self.was_ready else self.board.health()
        if visitor.asked is None:
            answer = NOT_FOUND
        elif visitor.asked.startswith(HEALTH[2]):
            answer = LIVE
        elif visitor.asked.startswith(HEALTH):
            answer = unavailable(health)
        else:
            trouble = "is loading" if health["status"] == "loading" else "does not answer at the moment"
            answer = unavailable({"detail": f"The model {trouble}"})
        with contextlib.suppress(OSError):
            visitor.socket.sendall(answer)
            visitor.socket.shutdown(socket.SHUT_WR)
        visitor.until = time.monotonic() + LINGER_SECONDS

    def dismiss(self, visitor: Visitor) -> None:
        """Hang up."""
        self.visitors.pop(visitor.socket.fileno(), None)
        visitor.socket.close()

    def reap(self) -> None:
        """Take note of workers that have ended."""
        for number, place in enumerate(self.places):
            if place.pid is None:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid:
                self.note_end(number, place, os.waitstatus_to_exitcode(status))

    def note_end(self, number: int, place: Place, code: int) -> None:
        """A worker has ended: start another, unless it has not even got its model into memory."""
        loaded = self.board.state(number) == READY
        place.pid = None
        lived = time.monotonic() - place.since
        place.deaths = 0 if lived > STEADY_SECONDS else place.deaths + 1
        backoff = BACKOFF_SECONDS[min(place.deaths, len(BACKOFF_SECONDS) - 1)] if not loaded or lived < 5 else 0.0
        place.not_before = time.monotonic() + backoff
        self.board.beat(number, LOADING)
        if self.stopping:
            return
        print(f"A worker of the model server has ended: {told(code)}", file=sys.stderr, flush=True)
        if not loaded and not self.was_ready:
            # Whoever has started this server decides whether it is tried again.
            self.stopping, self.exit_code = True, code if code > 0 else 128 - code

    def look(self) -> None:
        """Whether the server is ready, and whether a worker has to be replaced."""
        states = [self.board.state(number) for number in range(len(self.places))]
        self.board.ready = READY in states if self.was_ready else all(state == READY for state in states)
        self.was_ready = self.was_ready or self.board.ready
        limit = self.settings.request_seconds or STUCK_SECONDS
        for number, place in enumerate(self.places):
            if place.pid and states[number] == READY and self.board.silence(number) > max(limit, SILENT_SECONDS):
                print(f"A worker sits in one call for {limit:g} s and is replaced", file=sys.stderr, flush=True)
                os.kill(place.pid, signal.SIGKILL)

    def stop_workers(self) -> None:
        """Let workers finish what is under way, for a while."""
        os.close(self.lifeline[1])
        end = time.monotonic() + STOP_SECONDS
        for place in self.living():
            signal_to(place, signal.SIGTERM)
        while any(self.living()) and time.monotonic() < end:
            self.reap()
            time.sleep(0.01)
        for place in self.living():
            signal_to(place, signal.SIGKILL)
            if place.pid:
                os.waitpid(place.pid, 0)

    def living(self) -> Iterator[Place]:
        """The places that are taken."""
        return (place for place in self.places if place.pid)


def be_worker(settings: ServerSettings, listener: socket.socket, board: Board, number: int, lines: Lines) -> NoReturn:
    """What a forked process does; it never comes back."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        end_with_parent()
        from .worker import Worker

        Worker(settings, listener, board, number, lines).run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def end_with_parent() -> None:
    """Have the kernel end this process with its parent, even while it sits in a call that lets nothing else run."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def signal_to(place: Place, number: signal.Signals) -> None:
    """Send a signal to a worker that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(place.pid or 0, number)


def told(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"signal {name} ({who_killed()})" if -code == signal.SIGKILL else f"signal {name}"


def who_killed() -> str:
    """Who kills without a word: the kernel, at the memory limit of our container, or somebody else."""
    for counters in OUT_OF_MEMORY_COUNTERS:
        with contextlib.suppress(OSError):
            found = dict(line.split(maxsplit=1) for line in counters.read_text().splitlines())
            return "out of memory" if int(found.get("oom_kill", 0)) else "killed from outside"
    return "out of memory, or killed from outside"


def unavailable(body: dict[str, str]) -> bytes:
    """An answer that is the last of its connection."""
    text = json.dumps(body).encode()
    head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: application/json"
    return f"{head}\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n".encode() + text
