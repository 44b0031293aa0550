"""Small model files, made by hand so that these tests depend on nobody's packaging."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

DOUBLE = "{'y': inputs['x'] * 2}"
SOURCE = """
import os, sys, time
import numpy as np
from fnnx.variants.pyfunc import PyFunc

class Model(PyFunc):
    def warmup(self):
        {warmup}

    def compute(self, inputs, dynamic_attributes):
        return {expression}

    async def compute_async(self, inputs, dynamic_attributes):
        return self.compute(inputs, dynamic_attributes)
"""


def array(name: str, dtype: str = "float64", shape: tuple[str | int, ...] = ("batch",)) -> dict[str, Any]:
    return {"name": name, "content_type": "NDJSON", "dtype": f"Array[{dtype}]", "shape": list(shape)}


def write_model(
    path: Path,
    expression: str = DOUBLE,
    warmup: str = "print('warm')",
    inputs: list[dict[str, Any]] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    attributes: tuple[str, ...] = (),
    env: dict[str, Any] | None = None,
    dtypes: dict[str, Any] | None = None,
    members: dict[str, str] | None = None,
) -> Path:
    """A pyfunc model whose `compute` returns `expression`."""
    manifest = {
        "variant": "pyfunc", "name": "double", "version": "1", "description": "", "producer_name": "test",
        "producer_version": "1", "producer_tags": [], "inputs": inputs or [array("x")],
        "outputs": outputs or [array("y")], "env_vars": [],
        "dynamic_attributes": [{"name": name, "description": ""} for name in attributes],
    }  # fmt: skip
    files = {
        "manifest.json": json.dumps(manifest),
        "variant_config.json": json.dumps({"pyfunc_classname": "Model"}),
        "ops.json": "[]",
        "variant_artifacts/__pyfunc__.py": SOURCE.format(expression=expression, warmup=warmup),
        **({"env.json": json.dumps({"python3::conda_pip": env})} if env else {}),
        **({"dtypes.json": json.dumps(dtypes)} if dtypes else {}),
        **(members or {}),
    }
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path
