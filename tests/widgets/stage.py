"""Sets the stage for screens: artifacts with bytes, a track, a satellite with deployments."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

import httpx

from luml_app.schemas.artifacts import Artifact
from luml_app.schemas.deployments import Deployment
from tests.cast import Place

INPUTS = [
    {"name": "age", "content_type": "NDJSON", "dtype": "Array[int64]", "shape": ["batch"]},
    {"name": "plan", "content_type": "NDJSON", "dtype": "Array[string]", "shape": ["batch"]},
    {"name": "charges", "content_type": "NDJSON", "dtype": "Array[float64]", "shape": ["batch", 1]},
]
EXAMPLE = {"age": [41, 30], "plan": ["gold", "basic"], "charges": [[70.5], [20.0]]}
MODEL = {"variant": "pyfunc", "producer_name": "tests", "producer_version": "1", "producer_tags": []}
DATASET = {"artifact_type": "dataset", "variant": "tabular", "producer_name": "tests", "producer_version": "1"}
PACKAGES = {"python3::conda_pip": {"python_version": "3.11", "dependencies": [{"package": "scikit-learn==1.7.0"}]}}


def archive(members: dict[str, Any]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """A tar of JSON members, and where each of them is."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, document in members.items():
            content = json.dumps(document).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = file.getvalue()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return data, {one.name: (one.offset_data, one.size) for one in tar}


def put_model(api: Any, place: Place, collection_id: Any, name: str, **more: Any) -> Artifact:
    """An uploaded model with a signature, an environment and a stored example."""
    manifest = {**MODEL, "name": name, "inputs": INPUTS, "outputs": [], "dynamic_attributes": [], "env_vars": []}
    example = {"id": "x", "producer_tags": ["luml.ai::input_example:v1"], "payload": {"inputs": EXAMPLE}}
    members = {"manifest.json": manifest, "variant_config.json": {}, "ops.json": [], "env.json": PACKAGES}
    return _put(api, place, collection_id, name, manifest, {**members, "meta.json": [example]}, **more)


def put_dataset(api: Any, place: Place, collection_id: Any, name: str, **more: Any) -> Artifact:
    """An uploaded dataset of one split."""
    split = {"file_format": "csv", "num_rows": 12, "num_chunks": 1, "chunk_files": ["data/a/train/chunk_000.csv"]}
    payload = {"subsets": {"a": {"splits": {"train": split}}}, "total_rows": 12, "file_format": "csv"}
    manifest = {**DATASET, "name": name, "producer_tags": [], "payload": payload}
    return _put(api, place, collection_id, name, manifest, {"manifest.json": manifest}, **more)


def _put(api: Any, place: Place, collection_id: Any, name: str, manifest: Any, members: Any, **more: Any) -> Artifact:
    data, index = archive(members)
    created = api.artifacts.create(
        *place.path,
        collection_id,
        file_name=f"{name}.luml",
        manifest=manifest,
        file_index=index,
        file_hash=hashlib.sha256(data).hexdigest(),
        size=len(data),
        extra_values=more.pop("metrics", {}),
        name=name,
        **more,
    )
    httpx.put(created.upload_details.url, content=data, trust_env=False).raise_for_status()
    done: Artifact = api.artifacts.update(*place.path, collection_id, created.artifact.id, status="uploaded")
    return done


class Outpost:
    """A satellite that is nothing but its key: what it would observe, the test says."""

    def __init__(self, api: Any, place: Place, connect: Any, name: str = "basement") -> None:
        self._api, self._place = api, place
        created = api.satellites.create(*place.path, name=name)
        self.id = created.satellite.id
        self.key = created.api_key
        self.own = connect(created.api_key)
        able = {"deploy": {"version": 1, "supported_variants": ["pyfunc"], "rollouts": 1}}
        self.own.agent.pair(base_url="http://127.0.0.1:9", capabilities=able)

    def deploy(self, artifact: Artifact, name: str, **report: Any) -> Deployment:
        """A deployment, and what the satellite reports of it."""
        made = self._api.deployments.create(*self._place.path, satellite_id=self.id, artifact_id=artifact.id, name=name)
        if report:
            for task in self.own.agent.tasks(status="pending"):
                self.own.agent.update_task(task.id, status="running")
            self.own.agent.update_deployment(made.id, **report)
        return made
