"""The same three questions to our server and to `mlflow server`: how many answers a second of CPU gives.

Both have as many models, on the same PostgreSQL, on the same machine, and are asked in turns over one connection each.
CPU is that of the server's processes and of their database backends. MLflow is installed into an environment of its
own, which is kept in pytest's cache.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.benchmarks.conftest import MANY
from tests.benchmarks.measuring import Platform, backends, busy
from tests.serving import until

if TYPE_CHECKING:
    from tests.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BETTER = 5
ROUNDS = 60
_API = "/api/2.0/mlflow"
_NAME = (
    "(ARRAY['churn', 'fraud', 'demand', 'pricing', 'ranking', 'vision', 'speech'])[1 + CAST(n AS int) % 7] || '-' || n"
)
_MODELS = f"""
INSERT INTO registered_models (name, creation_time, last_updated_time, description)
SELECT {_NAME}, 1750000000000 + n * 60000, 1750000000000 + n * 60000, 'Run ' || n || ' of the nightly training'
FROM generate_series(CAST(1 AS bigint), {MANY}) n;
INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source, status)
SELECT {_NAME}, 1, 1750000000000 + n * 60000, 1750000000000 + n * 60000, 'None', 's3://bucket/' || n, 'READY'
FROM generate_series(CAST(1 AS bigint), {MANY}) n;
INSERT INTO registered_model_aliases (name, alias, version)
SELECT {_NAME}, 'production', 1 FROM generate_series(CAST(1 AS bigint), {MANY}) n;
INSERT INTO registered_model_tags (name, key, value)
SELECT {_NAME}, 'stage', CASE WHEN n % 10 = 0 THEN 'prod' ELSE 'dev' END
FROM generate_series(CAST(1 AS bigint), {MANY}) n;
"""


class Mlflow:
    """`mlflow server` with one worker on a database of its own."""

    def __init__(self, python: Path, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        url = make_url(database_url).set(drivername="postgresql")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        store = url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
        command = [str(python), "-m", "mlflow", "server", *options, "--backend-store-uri", store]
        self._log = (folder / "mlflow.log").open("w")
        self._child = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=subprocess.STDOUT)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        until(self._answers, "mlflow server answers", seconds=300)
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(_MODELS.encode())
            connection.execute("VACUUM ANALYZE")

    def get(self, path: str, **query: Any) -> Any:
        return self._checked(self.http.get(_API + path, params=query))

    def post(self, path: str, body: Any) -> Any:
        return self._checked(self.http.post(_API + path, json=body))

    def cpu_seconds(self) -> float:
        root = psutil.Process(self._child.pid)
        return busy([root, *root.children(recursive=True)]) + busy(backends(self.database_url))

    def close(self) -> None:
        self.http.close()
        family = psutil.Process(self._child.pid).children(recursive=True)
        self._child.terminate()
        self._child.wait(timeout=30)
        for one in psutil.wait_procs(family, timeout=10)[1]:
            one.kill()
        self._log.close()

    def _answers(self) -> bool:
        assert self._child.poll() is None, Path(self._log.name).read_text()[-2000:]
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def mlflow_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment that has MLflow."""
    folder = request.config.cache.mkdir("mlflow")  # type: ignore[union-attr]
    python = folder / "bin" / "python"
    packages = ["mlflow", "psycopg2-binary"]
    steps = [[sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *packages]]
    for step in steps if not (folder / "bin" / "mlflow").exists() else ():
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"MLflow cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return python


@pytest.fixture(scope="module")
def mlflow(mlflow_python: Path, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    with cluster.database() as url:
        server = Mlflow(mlflow_python, url, tmp_path_factory.mktemp("mlflow"))
        yield server
        server.close()


def times_better(what: str, ours: Callable[[int], Any], theirs: Callable[[int], Any], sides: tuple[Any, Any]) -> float:
    """Ask both in turns, print what an answer costs; how many times as many answers a second of our CPU gives."""
    for number in range(5):
        ours(number), theirs(number)
    before = [side.cpu_seconds() for side in sides]
    for number in range(5, 5 + ROUNDS):
        ours(number), theirs(number)
    spent = [side.cpu_seconds() - start for side, start in zip(sides, before, strict=True)]
    luml, mlflow = (1000 * cpu / ROUNDS for cpu in spent)
    print(
        f"\n{what}: LUML {luml:.2f} ms of CPU, MLflow {mlflow:.2f} ms: {mlflow / luml:.1f} times as many per CPU-second"
    )
    return mlflow / luml


@pytest.fixture(scope="module")
def track(many: Platform) -> dict[str, Any]:
    """A track with a version in production."""
    body = {"name": "churn", "artifact_type": "model", "stages": ["staging", "production"]}
    track: dict[str, Any] = many.post(f"{many.orbit}/tracks", body)
    first = many.get(f"{many.orbit}/artifacts", limit=1, search="churn-7")["items"][0]
    stage_id = track["stages"][1]["id"]
    many.post(f"{many.orbit}/tracks/{track['id']}/entries", {"artifact_id": first["id"], "stage_id": stage_id})
    return track


def test_what_is_in_production(many: Platform, mlflow: Mlflow, track: dict[str, Any]) -> None:
    where, stage_id = f"{many.orbit}/tracks/{track['id']}/entries/by-stage", track["stages"][1]["id"]
    better = times_better(
        "what is in production",
        lambda _: many.get(where, stage_id=stage_id),
        lambda n: mlflow.get("/registered-models/alias", name="churn-7", alias="production"),
        (many, mlflow),
    )
    assert better >= BETTER


def test_a_new_version(many: Platform, mlflow: Mlflow, track: dict[str, Any]) -> None:
    models = many.get(f"{many.orbit}/artifacts", limit=100, order="asc", sort_by="created_at")["items"]
    models = [one["id"] for one in models if one["name"] != "churn-7"]
    where = f"{many.orbit}/tracks/{track['id']}/entries"
    better = times_better(
        "a new version",
        lambda n: many.post(where, {"artifact_id": models[n]}),
        lambda n: mlflow.post("/model-versions/create", {"name": "churn-7", "source": f"s3://bucket/again-{n}"}),
        (many, mlflow),
    )
    assert better >= BETTER


def test_a_search(many: Platform, mlflow: Mlflow) -> None:
    better = times_better(
        "a search for a piece of a name",
        lambda n: many.get(f"{many.orbit}/artifacts", search=f"n-{70 + n}", limit=50),
        lambda n: mlflow.get("/registered-models/search", filter=f"name ILIKE '%n-{70 + n}%'", max_results=50),
        (many, mlflow),
    )
    assert better >= BETTER
