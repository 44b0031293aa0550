"""What people serve scikit-learn models with: each in an environment of its own, which pytest's cache keeps.

All of them serve one model, trained by the same lines in each environment, in one worker process without an access
log, in the fastest of the ways that their documentation shows.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.serving import until

FEATURES = 10
TRAIN = f"""
import numpy as np
from sklearn.linear_model import Ridge

random = np.random.default_rng(7)
x = random.normal(size=(1000, {FEATURES}))
model = Ridge().fit(x, x @ np.arange({FEATURES}) + random.normal(size=1000))
"""
FASTAPI = f"""
{TRAIN}
from fastapi import FastAPI

app = FastAPI()

@app.post("/predict")
async def predict(body: dict):
    return {{"prediction": model.predict(np.asarray(body["x"])).tolist()}}
"""
BENTOML = f"""
{TRAIN}
import bentoml

@bentoml.service(workers=1, logging={{"access": {{"enabled": False}}}})
class Predictor:
    @bentoml.api
    async def predict(self, x: list) -> list:
        return model.predict(np.asarray(x)).tolist()
"""
MLFLOW = f"""
{TRAIN}
import mlflow.sklearn
mlflow.sklearn.save_model(model, "model", pip_requirements=[], serialization_format="cloudpickle")
"""
MLSERVER = f"""
{TRAIN}
import joblib
joblib.dump(model, "model.joblib")
"""


@dataclass(frozen=True)
class Peer:
    """A way to serve: what to install, the files to write, a step before (`prepare`), the command, and its requests.

    `{python}`, `{bin}` and `{port}` are filled in; `body` makes a request of rows and `predictions` reads the answer.
    """

    name: str
    packages: tuple[str, ...]
    files: Mapping[str, str]
    command: tuple[str, ...]
    path: str
    body: Callable[[Any], Any]
    predictions: Callable[[Any], list[float]]
    prepare: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def infer_body(rows: Any) -> Any:
    """The Open Inference Protocol."""
    data = [value for row in rows for value in row]
    return {"inputs": [{"name": "x", "shape": [len(rows), FEATURES], "datatype": "FP64", "data": data}]}


PEERS = (
    Peer(
        "fastapi", ("fastapi", "uvicorn[standard]", "scikit-learn"), {"served.py": FASTAPI},
        ("{python}", "-m", "uvicorn", "served:app", "--port", "{port}", "--no-access-log", "--log-level", "warning"),
        "/predict", lambda rows: {"x": rows}, lambda answer: answer["prediction"],
    ),
    Peer(
        "mlserver", ("mlserver", "mlserver-sklearn"),
        {
            "model-settings.json": json.dumps(
                {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "model.joblib"}}
            ),
            "settings.json": '{"debug": false, "parallel_workers": 0, "host": "127.0.0.1", "http_port": {port}, '
            '"grpc_port": {port2}, "metrics_endpoint": null}',
        },
        ("{bin}/mlserver", "start", "."), "/v2/models/m/infer", infer_body,
        lambda answer: answer["outputs"][0]["data"], prepare=MLSERVER,
    ),
    Peer(
        "bentoml", ("bentoml", "scikit-learn"), {"served.py": BENTOML},
        ("{bin}/bentoml", "serve", "served:Predictor", "--host", "127.0.0.1", "--port", "{port}"),
        "/predict", lambda rows: {"x": rows}, lambda answer: answer,
        variables={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "."},
    ),
    Peer(
        "mlflow", ("mlflow", "scikit-learn"), {},
        ("{bin}/mlflow", "models", "serve", "-m", "model", "--env-manager", "local", "-h", "127.0.0.1", "-p", "{port}",
         "-w", "1"),
        "/invocations", lambda rows: {"inputs": rows}, lambda answer: answer["predictions"], prepare=MLFLOW,
    ),
)  # fmt: skip


class Served:
    """A server under measurement: where it answers, its processes, and the bytes of a request."""

    def __init__(self, name: str, address: str, pid: int, path: str, body: Callable[[Any], Any]) -> None:
        self.name = name
        self.address = address
        self.root = psutil.Process(pid)
        self.path = path
        self.body = body

    def cpu_seconds(self) -> float:
        """What its processes have worked until now."""
        times = [one.cpu_times() for one in (self.root, *self.root.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    def request(self, rows: Any) -> bytes:
        """The bytes of a request for predictions of rows."""
        body = json.dumps(self.body(rows)).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body


class RunningPeer(Served):
    """A peer that has been started and answers as it should."""

    def __init__(self, peer: Peer, python: Path, folder: Path) -> None:
        places = {"python": str(python), "bin": str(python.parent), "port": str(free_port()), "port2": str(free_port())}
        for name, text in peer.files.items():
            filled = text.replace("{port}", places["port"]).replace("{port2}", places["port2"])
            (folder / name).write_text(filled)
        environment = {**os.environ, **peer.variables, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        if peer.prepare:
            subprocess.run([python, "-c", peer.prepare], cwd=folder, env=environment, check=True, capture_output=True)
        self.log = (folder / "log").open("w")
        command = [part.format(**places) for part in peer.command]
        self.child = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        super().__init__(peer.name, f"http://127.0.0.1:{places['port']}", self.child.pid, peer.path, peer.body)
        self.peer = peer
        until(self.answers, f"{peer.name} answers", seconds=180)

    def predictions(self, rows: Any) -> list[float]:
        """What it predicts."""
        answer = httpx.post(self.address + self.path, json=self.body(rows), timeout=60)
        assert answer.status_code == 200, answer.text
        return self.peer.predictions(answer.json())

    def answers(self) -> bool:
        """Whether it predicts yet."""
        assert self.child.poll() is None, Path(self.log.name).read_text()[-2000:]
        try:
            return bool(self.predictions([[0.0] * FEATURES]))
        except (httpx.TransportError, AssertionError):
            return False

    def close(self) -> None:
        """Stop it and all it has started."""
        family = self.root.children(recursive=True)
        self.child.terminate()
        self.child.wait(timeout=30)
        for one in psutil.wait_procs(family, timeout=10)[1]:
            one.kill()
        self.log.close()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def python_with(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment that has the packages; skips where they cannot be installed."""
    python, marker = folder / "bin" / "python", folder / "installed"
    steps = [[sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *packages]]
    for step in steps if not marker.exists() else ():
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{packages[0]} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    marker.touch()
    return python
