"""A model that MLflow itself has written, in the environment that it asks for, from the tar to predictions."""

from __future__ import annotations

import subprocess
import tarfile
import uuid
from pathlib import Path

import httpx
import pytest

from satellite import bundle
from satellite.health import Prober
from satellite.runtimes.interface import ReplicaSpec
from satellite.runtimes.process import ProcessRuntime
from satellite.settings import build_environment, inherited_environment
from tests.benchmarks.peers import python_with
from tests.satellite.contract_server import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TRAINING = """
import mlflow.pyfunc, mlflow.sklearn, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

class Scaled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] * float((params or {}).get("factor", 2))

frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1, 0, 1, 0]})
python = infer_signature(frame, frame["a"], params={"factor": 2.0})
mlflow.pyfunc.save_model("python", python_model=Scaled(), signature=python)
model = LogisticRegression().fit(frame, frame["b"])
mlflow.sklearn.save_model(model, "sklearn", signature=infer_signature(frame, model.predict(frame)))
"""


@pytest.fixture(scope="module")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two model folders, written by MLflow."""
    cache = Path(request.config.cache.mkdir("serving-mlflow"))  # type: ignore[union-attr]
    folder = tmp_path_factory.mktemp("mlflow")
    python = python_with(cache, ("mlflow", "scikit-learn"))
    subprocess.run([python, "-c", TRAINING], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("name", "attributes", "expected"), [("python", {"factor": "3"}, [3.0, 6.0]), ("sklearn", {}, [1, 0])]
)
def test_a_folder_of_mlflow_from_the_tar_to_predictions(
    saved: Path, tmp_path: Path, name: str, attributes: dict[str, str], expected: list[float]
) -> None:
    archive = tmp_path / "model.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(saved / name, "model")
    bundle.unpack(archive, tmp_path / "model")
    runtime = ProcessRuntime(tmp_path / "data", inherited_environment(), build_environment())
    spec = ReplicaSpec(str(uuid.uuid4()), "r1", tmp_path / "model", "0" * 64, bundle.environment_of(tmp_path / "model"))
    try:
        runtime.ensure_running(spec)
        url = until(lambda: next((seen.url for seen in runtime.observe() if seen.url), None))
        until(lambda: Prober().health(url).state != "loading", 120)
        assert Prober().health(url).state == "ready", runtime.logs(spec.key, 20)
        body = {"inputs": {"a": [1.0, 2.0], "b": [1, 0]}, "dynamic_attributes": attributes}
        answer = httpx.post(f"{url}/compute", json=body, timeout=60)
        # The column keeps the name that the signature gives it.
        assert list(answer.json().values()) == [pytest.approx(expected)]
    finally:
        runtime.close(stop_replicas=True)
