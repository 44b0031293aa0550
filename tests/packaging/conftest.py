"""Data and modules with which models are made, and the runtime that computes the stored files."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest


def needs(package: str) -> None:
    """Skip without an optional package, or fail where nothing may skip."""
    if find_spec(package) is None:
        reason = f"{package} is not installed"
        (pytest.fail if os.environ.get("LUML_TEST_NO_SKIP") == "1" else pytest.skip)(reason)


def mixed_frame(rows: int = 12) -> pd.DataFrame:
    """One column of every kind, with missing values wherever a column may have them."""
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "age": np.where(numbers % 4 == 2, np.nan, numbers * 1.5),
            "rooms": numbers % 5,
            "small": (numbers % 3).astype("int8"),
            "ratio": (numbers / 7).astype("float32"),
            "garden": numbers % 2 == 0,
            "visits": pd.array([None if n % 5 == 1 else int(n) for n in numbers], dtype="Int64"),
            "sold": pd.array([None if n % 3 == 1 else bool(n % 2) for n in numbers], dtype="boolean"),
            "maybe": pd.Series([None if n % 3 == 1 else bool(n % 2) for n in numbers], dtype=object),
            "city": pd.Series(["Bern" if n % 2 else "Basel" for n in numbers]),
            "street": pd.Series([None if n % 4 == 1 else f"s{n % 3}" for n in numbers], dtype=object),
            "note": pd.Series([np.nan if n % 4 == 1 else f"s{n % 3}" for n in numbers], dtype=object),
            "grade": pd.Categorical([None if n % 6 == 1 else "abc"[n % 3] for n in numbers], ordered=True),
            "floor": pd.Categorical(numbers % 3),
            "built": pd.to_datetime([None if n % 6 == 1 else f"20{10 + n}-03-04T05:06:07.123456" for n in numbers]),
            "seen": pd.date_range("2024-01-01", periods=rows, freq="h", tz="Europe/Zurich"),
            "gone": pd.to_timedelta(numbers, unit="min"),
            "empty": pd.Series([None] * rows, dtype=object),
        }
    )


def compute(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the stored file answers, computed by fnnx itself for inputs that travelled as JSON."""
    from fnnx.stable.v1 import Runtime

    return Runtime(str(path)).compute(json.loads(json.dumps(inputs)), {})


def stored_json(path: Path, member: str) -> Any:
    """A JSON member of the archive, read by the standard library."""
    with tarfile.open(path) as archive:
        content = archive.extractfile(member)
        assert content is not None
        return json.loads(content.read())


def example(path: Path) -> dict[str, Any]:
    """The input example that is stored with a model."""
    (entry,) = [e for e in stored_json(path, "meta.json") if e["producer_tags"] == ["luml.ai::input_example:v1"]]
    return entry["payload"]["inputs"]


def pins(path: Path) -> set[str]:
    """Names of the packages in a model's environment."""
    dependencies = stored_json(path, "env.json")["python3::conda_pip"]["dependencies"]
    return {entry["package"].split("==")[0].lower() for entry in dependencies}


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module of the author's own into a folder on the import path, and import it."""
    folder = tmp_path / "author"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def write(name: str, text: str) -> ModuleType:
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        if str(folder) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
