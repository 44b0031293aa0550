"""Code to paste: the same thing done from Python or a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

from luml_app.schemas.artifacts import ArtifactDetails


def quoted(text: str) -> str:
    """A text as Python writes it: a name with quotes in it must not become code that somebody pastes."""
    return json.dumps(text, ensure_ascii=False)


def pull(one: ArtifactDetails) -> str:
    """Download the file."""
    return f"luml artifacts pull {one.id}"


def find(one: ArtifactDetails) -> str:
    """Find the artifact from Python."""
    orbit, kind = one.collection.orbit_id, one.type
    return f'from luml_app import Client\n\n{kind} = Client().orbit("{orbit}").artifact("{one.id}")'


def load(one: ArtifactDetails) -> str:
    """Download and open the file."""
    if one.type == "model":
        opened = 'runtime = Runtime(str(path))\nruntime.compute({"…": […]}, {})'
        return f"from fnnx.stable.v1 import Runtime\n\npath = model.download()\n{opened}"
    opened = f'info = read_artifact({one.type}.download())\ninfo.manifest["payload"]'
    return f"from luml_app import read_artifact\n\n{opened}"


def deploy(one: ArtifactDetails) -> str:
    """Serve a model, and call it."""
    name = quoted((one.name or one.file_name)[:100])
    return f"deployment = model.deploy({name}).wait()\ndeployment.predict(rows)    # a DataFrame, an array or a dict"


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
