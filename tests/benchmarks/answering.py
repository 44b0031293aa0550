"""Asking servers for predictions in turns, and counting what a second of their CPU gives."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from satellite import model_server
from tests.benchmarks.peers import FEATURES, TRAIN, Served
from tests.benchmarks.wire import Wire, body_length
from tests.serving import in_a_loop, until

ROUNDS = 5
SECONDS = 1.0


class Ours(Served):
    """The model server, started as the process runtime starts it, on a model stored by `save_model`."""

    def __init__(self, folder: Path, *options: str) -> None:
        from luml_app.packaging.models import save_model

        made: dict[str, object] = {}
        exec(TRAIN, made)
        saved = save_model(made["model"], folder / "model.luml", sample=made["x"], check=False, dependencies=[])
        port = folder / "port"
        command = [sys.executable, str(Path(model_server.__file__).parent), "--model", str(saved.path)]
        self.child = subprocess.Popen([*command, "--port-file", str(port), *options], cwd=folder)
        address = f"http://127.0.0.1:{until(lambda: port.exists() and port.read_text(), 'the port is told')}"
        super().__init__("ours", address, self.child.pid, "/compute", lambda rows: {"inputs": {"x": rows}})
        until(self.ready, "the model is ready")

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self.child.terminate()
        self.child.wait(timeout=30)


def rows_of(number: int) -> list[list[float]]:
    return [[((row * 7 + column * 13) % 101) / 17 - 2.5 for column in range(FEATURES)] for row in range(number)]


def answers_in_turns(servers: Sequence[Served], rows: list[list[float]], connections: int) -> dict[str, float]:
    """Answers for a second of CPU, by server: the median of several turns."""
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(-1, ROUNDS):
        for server in servers:
            answers = answers_for_cpu(server, server.request(rows), connections)
            if number >= 0:
                found[server.name].append(answers)
    return {name: statistics.median(values) for name, values in found.items()}


def answers_for_cpu(server: Served, request: bytes, connections: int) -> float:
    """How many answers a server gives for a second of its CPU, being asked for a while."""
    before = server.cpu_seconds()
    answers = ask_one(server.address, request) if connections == 1 else in_a_loop(
        ask_many(server.address, request, connections)
    )  # fmt: skip
    return answers / (server.cpu_seconds() - before)


def ask_one(address: str, request: bytes) -> int:
    wire, answers, end = Wire(address), 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        wire.call(request)
        answers += 1
    wire.close()
    return answers


async def ask_many(address: str, request: bytes, connections: int) -> int:
    """Answers over so many connections, each of which asks again as soon as it is answered."""
    place, end = urlsplit(address), time.perf_counter() + SECONDS

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 24)
        answers = 0
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(body_length(head))
            answers += 1
        writer.close()
        return answers

    return sum(await asyncio.gather(*(ask() for _ in range(connections))))
