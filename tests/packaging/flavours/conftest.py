"""Models that are stored, served by the model server as a satellite's process runtime starts it, and asked by HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from luml_app.packaging import save_model
from satellite import bundle
from satellite.health import Prober
from satellite.runtimes.interface import ReplicaSpec
from satellite.runtimes.process import ProcessRuntime
from satellite.settings import build_environment, inherited_environment
from tests.satellite.contract_server import until

Serve = Callable[..., dict[str, Any]]
PATIENCE = 120
ROWS = 40


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRuntime]:
    made = ProcessRuntime(tmp_path_factory.mktemp("runtime"), inherited_environment(), build_environment())
    yield made
    made.close(stop_replicas=True)


@pytest.fixture
def served(runtime: ProcessRuntime, tmp_path: Path) -> Serve:
    """Store a model, serve it, and give the outputs that it answers for rows, by name."""

    def serve(model: Any, rows: Any, sample: Any = None, **options: Any) -> dict[str, Any]:
        path = tmp_path / "model.luml"
        save_model(model, path, sample=rows if sample is None else sample, **options)
        return answer(runtime, path, inputs_of(rows), tmp_path / "unpacked")

    return serve


def answer(runtime: ProcessRuntime, path: Path, inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    bundle.unpack(path, folder)
    spec = ReplicaSpec(str(uuid.uuid4()), "r1", folder, "0" * 64, bundle.environment_of(folder))
    runtime.ensure_running(spec)
    try:
        url = until(lambda: next((seen.url for seen in runtime.observe() if seen.key == spec.key and seen.url), None))
        until(lambda: Prober().health(url).state != "loading", PATIENCE)
        assert Prober().health(url).state == "ready", runtime.logs(spec.key, 30)
        reply = httpx.post(f"{url}/compute", json={"inputs": inputs}, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())
    finally:
        runtime.ensure_absent(spec.key)


def inputs_of(rows: Any) -> dict[str, Any]:
    """A request as somebody writes it who has never seen our packaging."""
    if isinstance(rows, dict):
        return {name: plain(values) for name, values in rows.items()}
    if isinstance(rows, pd.DataFrame):
        return {str(name): plain(rows[name].astype(object).to_numpy()) for name in rows.columns}
    return {"x": plain(rows)}


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return value
    if pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value.isoformat() if hasattr(value, "isoformat") else value


def assert_same(outputs: dict[str, Any], **expected: Any) -> None:
    """The outputs have these names and values; numbers up to the last digits of float32."""
    assert sorted(outputs) == sorted(expected)
    for name, values in expected.items():
        wanted = np.asarray(values)
        if wanted.dtype.kind in "fiub":
            got = np.array(outputs[name], dtype=float)
            assert got.shape == wanted.shape, name
            np.testing.assert_allclose(got, wanted.astype(float), rtol=1e-6, atol=1e-9, err_msg=name)
        else:
            assert outputs[name] == wanted.tolist(), name


def array() -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).normal(size=(ROWS, 4))


def frame() -> pd.DataFrame:
    return pd.DataFrame(array(), columns=["a", "b", "c", "d"])


def mixed() -> pd.DataFrame:
    """Numbers, whole numbers, truths and categories."""
    numbers = np.arange(ROWS)
    return frame()[["a", "b"]].assign(
        rooms=numbers % 5, garden=numbers % 2 == 0, grade=pd.Categorical(["abc"[n % 3] for n in numbers])
    )


def missing() -> pd.DataFrame:
    """The same, with numbers and categories missing."""
    rows = mixed()
    rows.loc[rows.index % 5 == 1, "a"] = np.nan
    rows.loc[rows.index % 7 == 2, "grade"] = None
    return rows


SAMPLES: dict[str, Callable[[], Any]] = {"frame": frame, "array": array, "mixed": mixed, "missing": missing}


def target() -> np.ndarray[Any, Any]:
    numbers = array()
    return (numbers[:, 0] + numbers[:, 1] > 0).astype(int)
