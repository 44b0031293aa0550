"""Callers of models while neither gateway nor satellite is there: they wait in a socket that somebody else holds."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.satellite.contract_server import TOKEN, ContractServer, until
from tests.satellite.test_end_to_end import active, compute, replicas_under
from tests.satellite.test_jobs import operators_environment

# As systemd does it: the socket is the third file, and the process that it is for is named.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "satellite"])
"""


class Holder:
    """A supervisor that starts a satellite and may hold its socket."""

    def __init__(self, platform: ContractServer, data: Path, how: str) -> None:
        self.data, self.how = data, how
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.environment = {
            **operators_environment(), "LUML_ADDRESS": platform.url, "SATELLITE_TOKEN": TOKEN,
            "SATELLITE_DATA": str(data), "SATELLITE_RUNTIME": "process", "SATELLITE_RECONCILE_SECONDS": "0.3",
        }  # fmt: skip
        if how == "nobody":
            self.listener.close()
            self.environment["SATELLITE_PORT"] = str(self.port)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words, environment = [sys.executable, "-m", "satellite"], dict(self.environment)
        held = [] if self.how == "nobody" else [self.listener.fileno()]
        if self.how == "supervisor":
            environment["SATELLITE_LISTENER"] = str(held[0])
        elif self.how == "systemd":
            words = [sys.executable, "-c", AS_SYSTEMD, str(held[0])]
        self.process = subprocess.Popen(words, env=environment, pass_fds=held)

    def kill_both(self) -> None:
        """The satellite first: then nobody is left to replace the gateway."""
        assert self.process
        self.process.kill()
        self.process.wait()
        gateway = psutil.Process(json.loads((self.data / "gateway.json").read_bytes())["pid"])
        gateway.kill()
        until(lambda: not gateway.is_running() or gateway.status() == psutil.STATUS_ZOMBIE)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0
        self.listener.close()


@pytest.fixture
def hold(our_platform: ContractServer, tmp_path: Path) -> Iterator[Callable[[str], Holder]]:
    made: list[Holder] = []

    def start(how: str) -> Holder:
        made.append(Holder(our_platform, tmp_path / "satellite", how))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()
        assert replicas_under(one.data) == []


@pytest.mark.parametrize("how", ["systemd", "supervisor"])
def test_callers_wait_while_satellite_and_gateway_are_started_again(
    our_platform: ContractServer, model: Path, hold: Callable[[str], Holder], how: str
) -> None:
    holder = hold(how)
    url = active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    assert f":{holder.port}/" in url
    (replica,) = [one for one in replicas_under(holder.data) if "--port-file" in one.cmdline()]
    for _ in range(2):
        holder.kill_both()
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(compute, url, [number]) for number in range(8)]
            holder.start()
            answers = [one.result() for one in waiting]
        print(f"\n{how}: answered {time.monotonic() - began:.2f} s after both were killed")
        assert [one.json() for one in answers] == [{"y": [2.0 * number]} for number in range(8)]
        # Another gateway dies while this satellite watches: the same socket goes to the next one.
        psutil.Process(json.loads((holder.data / "gateway.json").read_bytes())["pid"]).kill()
        assert compute(url, [4]).json() == {"y": [8.0]}
        until(lambda: json.loads((holder.data / "satellite.json").read_bytes())["base_url"])
    assert replica.is_running()


def test_where_nobody_holds_it_callers_are_refused_until_the_satellite_is_back(
    our_platform: ContractServer, model: Path, hold: Callable[[str], Holder]
) -> None:
    holder = hold("nobody")
    url = active(our_platform, our_platform.deploy(our_platform.add_model(model)))
    holder.kill_both()
    with pytest.raises(httpx.ConnectError):
        compute(url, [1])
    began = time.monotonic()
    holder.start()

    def answered() -> bool:
        try:
            return compute(url, [1]).status_code == 200
        except httpx.ConnectError:
            return False

    until(answered)
    print(f"\nnobody: refused for {time.monotonic() - began:.2f} s after the satellite's start")


def test_a_number_that_is_no_socket_is_one_sentence(our_platform: ContractServer, tmp_path: Path) -> None:
    environment = {
        **operators_environment(), "LUML_ADDRESS": our_platform.url, "SATELLITE_TOKEN": TOKEN,
        "SATELLITE_DATA": str(tmp_path / "satellite"), "SATELLITE_RUNTIME": "process", "SATELLITE_LISTENER": "999",
    }  # fmt: skip
    words = [sys.executable, "-m", "satellite"]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1
    said = "SATELLITE_LISTENER is 999, which is no open socket: Bad file descriptor"
    assert told.stderr.strip().splitlines()[-1] == said
