"""Keeps one gateway process running: starts it, takes over one that outlived the satellite, replaces one that died."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from typing import Any, TypeVar

import httpx
import msgspec
import psutil

from satellite.gateway.__main__ import GRACE_SECONDS
from satellite.gateway.dispatch import Activity, Hands
from satellite.gateway.settings import GatewaySettings, GatewayState
from satellite.gateway.stats import Summary
from satellite.model_server.sockets import listening_socket

log = logging.getLogger("satellite.gateway")

START_SECONDS = 30.0
CHECK_SECONDS = 0.5
COMMAND = [sys.executable, "-m", "satellite.gateway"]


Told = TypeVar("Told")


class GatewayFailed(Exception):  # noqa: N818
    """The gateway does not start; the message says why."""


class GatewaySupervisor:
    """The satellite's handle on its gateway. `start` once; a thread then restarts it whenever it dies."""

    def __init__(self, settings: GatewaySettings, variables: dict[str, str]) -> None:
        self.settings = settings
        self.variables = variables
        self.listener = handed(settings.listener)
        self.port = self.listener.getsockname()[1] if self.listener else settings.port
        self.stopping = threading.Event()
        self.process: psutil.Process | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.thread: threading.Thread | None = None
        # The gateway is our own child on this machine, and its certificate is made out to the name that callers use.
        self.http = httpx.Client(timeout=5.0, verify=False, trust_env=False)  # noqa: S501
        self.log_file = settings.state.with_name("gateway.log")

    @property
    def url(self) -> str:
        """Where the gateway listens, for this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"{'https' if self.settings.tls_chain else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Have a gateway running and watched; raises GatewayFailed."""
        if not self.adopt():
            self.launch()
        self.thread = threading.Thread(target=self.watch, name="gateway", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the gateway after the requests in hand."""
        self.stopping.set()
        if self.thread:
            self.thread.join()
        if self.listener:
            self.listener.close()
        if self.process:
            end(self.process)
        if self.child:
            self.child.wait()
        self.settings.state.unlink(missing_ok=True)
        self.http.close()

    def wait_for_routes(self, version: int, left: Collection[str | None], patience: float) -> None:
        """Return once the gateway uses that version of the table and the model servers that it has `left` (their
        addresses) have no request in hand.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not self.stopping.is_set():
            hands = self.told("hands", Hands)
            if hands and hands.routes_version >= version and not set(hands.busy).intersection(left):
                return
            self.stopping.wait(0.05)

    def health(self) -> dict[str, Any] | None:
        """What the gateway says of itself; None when it does not answer."""
        try:
            answer: dict[str, Any] = self.http.get(f"{self.url}/healthz").json()
        except (httpx.HTTPError, ValueError):
            return None
        return answer

    def statistics(self) -> dict[str, dict[str, Summary]]:
        """How each revision of each deployment has done lately; nothing when the gateway does not answer."""
        return self.told("statistics", dict[str, dict[str, Summary]]) or {}

    def activity(self) -> Activity:
        """Which deployments are wanted, and for how long each has had no request; answered after a moment."""
        return self.told("activity", Activity) or Activity()

    def told(self, what: str, kind: type[Told]) -> Told | None:
        """What the gateway tells its satellite only; None when it does not answer."""
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        try:
            answer = self.http.get(f"{self.url}/{what}", headers=headers)
            return msgspec.json.decode(answer.content, type=kind) if answer.is_success else None
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    def adopt(self) -> bool:
        """Keep a gateway of an earlier run if it was started with the same settings; end it otherwise."""
        state = read_state(self.settings)
        process = state and gateway_process(state.pid)
        if not state or not process:
            return False
        if state.fingerprint == self.settings.fingerprint and self.port in {0, state.port}:
            self.process, self.port = process, state.port
            if self.health():
                return True
        end(process)
        return False

    def launch(self) -> None:
        """Start a gateway; on the port of its predecessor, so that addresses given out stay good."""
        self.settings.state.unlink(missing_ok=True)
        listener = self.listening()
        settings = msgspec.structs.replace(self.settings, port=self.port, listener=listener.fileno())
        # A session of its own: Ctrl-C in a terminal is for the satellite, which ends the gateway in order.
        with self.log_file.open("wb") as printed:
            self.child = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=printed, stderr=printed, env=self.variables,
                start_new_session=True, pass_fds=(listener.fileno(),),
            )  # fmt: skip
        with contextlib.suppress(BrokenPipeError):
            give_input(self.child, msgspec.json.encode(settings))
        self.wait_until_listening(self.child)
        self.process = psutil.Process(self.child.pid)

    def listening(self) -> socket.socket:
        """The socket in which callers wait while one gateway has died and the next one starts. Raises GatewayFailed."""
        if self.listener is None:
            try:
                self.listener = listening_socket(self.settings.host, self.port)
            except OSError as error:
                where = f"{self.settings.host}:{self.port}"
                raise GatewayFailed(f"The gateway cannot listen on {where}: {error.strerror}") from error
        return self.listener

    def wait_until_listening(self, child: subprocess.Popen[bytes]) -> None:
        """Return when the gateway has said where it listens."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise GatewayFailed(self.log_file.read_text(errors="replace").strip()[-500:] or "The gateway ended")
            state = read_state(self.settings)
            if state and state.pid == child.pid:
                self.port = state.port
                return
            time.sleep(0.02)
        child.kill()
        child.wait()
        raise GatewayFailed(f"The gateway did not start within {START_SECONDS:g} s")

    def watch(self) -> None:
        """Replace a gateway that died, until told to stop."""
        while not self.stopping.wait(CHECK_SECONDS):
            if self.alive():
                continue
            log.warning("The gateway ended; starting it again")
            try:
                self.launch()
            except (GatewayFailed, OSError) as error:
                log.error("%s; trying again", error)

    def alive(self) -> bool:
        """Whether the process is there (a dead child is reaped on the way)."""
        if self.child and self.child.poll() is not None:
            self.child = None
            return False
        return self.process is not None and gateway_process(self.process.pid) is not None


def handed(number: int | None) -> socket.socket | None:
    """The socket that whoever has started the satellite holds, as one of our own: theirs stays open for the next one.
    Raises GatewayFailed.
    """
    try:
        return None if number is None else socket.socket(fileno=os.dup(number))
    except OSError as error:
        raise GatewayFailed(f"SATELLITE_LISTENER is {number}, which is no open socket: {error.strerror}") from error


def give_input(child: subprocess.Popen[bytes], document: bytes) -> None:
    """Write the whole standard input of a child."""
    if child.stdin:
        with child.stdin:
            child.stdin.write(document)


def read_state(settings: GatewaySettings) -> GatewayState | None:
    """What the running gateway has written of itself."""
    try:
        return msgspec.json.decode(settings.state.read_bytes(), type=GatewayState)
    except (OSError, msgspec.MsgspecError):
        return None


def gateway_process(pid: int) -> psutil.Process | None:
    """The process with that id if it is a living gateway."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if "satellite.gateway" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def end(process: psutil.Process) -> None:
    """Ask a process to end, then make it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(GRACE_SECONDS + 2)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(5)
