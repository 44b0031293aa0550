"""A model served by a model server of its own, asked over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from satellite import model_server
from tests.satellite.contract_server import until
from tests.satellite.models import write_model

Serve = Callable[..., httpx.Client]


class ServedModel:
    """The server of a model made of the given parts, once it is ready (or has failed to be); `client` asks it."""

    def __init__(
        self, folder: Path, *arguments: str, ready: bool = True, variables: dict[str, str] | None = None,
        path: Path | None = None, **parts: Any,
    ) -> None:  # fmt: skip
        path = path or write_model(folder / "model.luml", **parts)
        port, self.log = folder / "port", folder / "log"
        server = str(Path(model_server.__file__).parent)
        command = [sys.executable, server, "--model", str(path), "--port-file", str(port), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(variables or {})}, stdout=log, stderr=log
            )
        address = f"http://127.0.0.1:{until(lambda: port.exists() and port.read_text())}"
        self.client = httpx.Client(base_url=address, timeout=30)
        wanted = "ready" if ready else "failed"
        until(lambda: status_of(self.client) == wanted)

    def workers(self) -> list[psutil.Process]:
        """The processes that hold the model."""
        return psutil.Process(self.process.pid).children()

    def stop(self) -> int:
        """Stop it; the exit code."""
        self.client.close()
        self.process.terminate()
        return self.process.wait(20)


def status_of(client: httpx.Client) -> str:
    """What `/healthz` says."""
    try:
        return str(client.get("/healthz").json()["status"])
    except httpx.TransportError:
        return ""


def compute(client: httpx.Client, inputs: Any, **more: Any) -> httpx.Response:
    """Ask for outputs."""
    return client.post("/compute", json={"inputs": inputs, **more}, timeout=30)
