"""Code to paste: the same thing done from Python or a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

from luml_app.schemas.artifacts import ArtifactDetails

OPEN = "from luml_app import Client\n\nclient = Client()"


def pull(one: ArtifactDetails) -> str:
    """Download the file."""
    return f"luml artifacts pull {one.id}"


def load(one: ArtifactDetails) -> str:
    """Load what has been downloaded."""
    if one.type == "model":
        return f'from fnnx.stable.v1 import Runtime\n\nmodel = Runtime("{one.file_name}")\nmodel.compute(inputs, {{}})'
    opened = f'info = read_artifact("{one.file_name}")\ninfo.manifest["payload"]'
    return f"from luml_app.packaging import read_artifact\n\n{opened}"


def get(organization_id: str, one: ArtifactDetails) -> str:
    """Ask the registry for the artifact."""
    ids = f'"{organization_id}", "{one.collection.orbit_id}", "{one.collection_id}", "{one.id}"'
    return f"{OPEN}\nartifact = client.artifacts.get({ids})\nartifact.extra_values"


def deploy(organization_id: str, one: ArtifactDetails, satellite_id: Any = None) -> str:
    """Serve a model."""
    return (
        f'{OPEN}\nclient.deployments.create("{organization_id}", "{one.collection.orbit_id}",\n'
        f'    name="{(one.name or one.file_name)[:100]}", artifact_id="{one.id}", satellite_id="{satellite_id or "…"}")'
    )


def call_by_curl(url: str, body: Any) -> str:
    """Call a deployment from a shell."""
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return (
        f"curl -X POST {shlex.quote(url)} \\\n  -H 'Authorization: Bearer '$LUML_API_KEY \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {text}"
    )


def call_by_python(url: str, body: Any) -> str:
    """Call a deployment from Python."""
    return (
        f"import os\nimport httpx\n\nanswer = httpx.post(\n    {url!r},\n"
        f'    headers={{"Authorization": "Bearer " + os.environ["LUML_API_KEY"]}},\n'
        f"    json={body!r},\n)\nanswer.json()"
    )
