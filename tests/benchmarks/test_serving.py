"""The model server beside what people serve models with: one scikit-learn model, answers for a second of CPU.

All servers run at once and are asked in turns, so that a noisy second hits all of them. The CPU counted is that of a
server's processes only; what the client costs is nobody's. Ours checks each request against the manifest, FastAPI does
not.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.benchmarks.answering import Ours, answers_in_turns, rows_of
from tests.benchmarks.peers import PEERS, RunningPeer, python_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
IMPORTS = "import time, numpy, sklearn.linear_model, fnnx.stable.v1; print(time.process_time())"
# How many times as many answers a second of CPU gives as theirs.
BETTER = {
    1: {"fastapi": 1.3, "mlserver": 2, "bentoml": 4, "mlflow": 4},
    1000: {"fastapi": 1.3, "mlserver": 2, "bentoml": 4, "mlflow": 4},
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    server = Ours(tmp_path_factory.mktemp("ours"))
    yield server
    server.close()


@pytest.fixture(scope="module", params=PEERS, ids=lambda peer: peer.name)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPeer]:
    folder = Path(request.config.cache.mkdir(f"serving-{request.param.name}"))  # type: ignore[union-attr]
    python = python_with(folder, request.param.packages)
    server = RunningPeer(request.param, python, tmp_path_factory.mktemp(request.param.name))
    yield server
    server.close()


@pytest.mark.parametrize("connections", [1, 32])
@pytest.mark.parametrize("rows", [1, 1000])
def test_answers_for_a_second_of_cpu(ours: Ours, peer: RunningPeer, rows: int, connections: int) -> None:
    sample = rows_of(rows)
    assert peer.predictions(sample) == pytest.approx(predictions_of_ours(ours, sample))
    found = answers_in_turns([ours, peer], sample, connections)
    better = found["ours"] / found[peer.name]
    print(f"\n{rows} rows, {connections} connections: ours {found['ours']:.0f}, {peer.name} {found[peer.name]:.0f} "
          f"answers for a second of CPU: {better:.1f} times")  # fmt: skip
    assert better >= BETTER[rows][peer.name]


def predictions_of_ours(ours: Ours, rows: list[list[float]]) -> list[float]:
    answer = httpx.post(f"{ours.address}/compute", json={"inputs": {"x": rows}}, timeout=60)
    found: list[float] = answer.json()["prediction"]
    return found


def test_batches_of_waiting_requests(ours: Ours, tmp_path: Path) -> None:
    """The same server with and without them, at 32 connections with one row each."""
    alone = Ours(tmp_path, "--batch-rows", "1")
    alone.name = "alone"
    try:
        found = answers_in_turns([ours, alone], rows_of(1), 32)
    finally:
        alone.close()
    better = found["ours"] / found["alone"]
    print(
        f"\nBatches: {found['ours']:.0f} answers for a second of CPU, without {found['alone']:.0f}: {better:.1f} times"
    )
    assert better >= 1.5


def test_a_warm_start_beside_the_import_of_what_the_model_needs(ours: Ours, tmp_path: Path) -> None:
    """CPU until a model whose file and environment are there is ready: most of it is scikit-learn's own import."""
    bare: list[float] = []
    ready: list[float] = []
    for number in range(3):
        child = subprocess.Popen([sys.executable, "-c", IMPORTS], stdout=subprocess.PIPE)
        bare.append(float(child.communicate()[0]))
        folder = tmp_path / str(number)
        folder.mkdir()
        started = Ours(folder)
        ready.append(started.cpu_seconds())
        started.close()
    print(f"\nCPU until ready: {median(ready):.2f} s, of the bare imports {median(bare):.2f} s")
    assert median(ready) < 1.8 * median(bare)
