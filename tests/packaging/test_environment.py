"""What a model's environment says, and that the load check believes it."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from sklearn.linear_model import LinearRegression

from luml_app.packaging import save_model
from luml_app.packaging.environment import pins_of_modules
from luml_app.packaging.errors import LoadCheckError
from tests.packaging.conftest import pins, stored_json

X = np.arange(6.0).reshape(3, 2)


def install(folder: Path, name: str, *requires: str) -> None:
    """A distribution with one module of its name, as an installer would leave it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0", *(f"Requires-Dist: {one}" for one in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    (folder / f"{name}.py").write_text("")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return lambda name, *requires: install(folder, name, *requires)


def test_what_is_wanted_on_some_systems_keeps_its_marker(installed: Any) -> None:
    here = f"sys_platform == '{sys.platform}'"
    installed("aaroot", f"aagpu>=1; {here}", "aaplain", f"aaboth; {here}", "aatest; extra == 'test'")
    installed("aagpu", "aacuda; python_version >= '3'")
    installed("aaplain", "aaboth", "aaroot")
    for name in ("aacuda", "aaboth", "aatest"):
        installed(name)
    found = [pin for pin in pins_of_modules({"aaroot": ""}, lambda name: name == "aaroot") if pin.startswith("aa")]
    assert found == [
        "aaboth==1.0",
        f"aacuda==1.0; (python_version >= '3') and ({here})",
        f"aagpu==1.0; ({here})",
        "aaplain==1.0",
        "aaroot==1.0",
    ]
    assert all(Requirement(pin).marker is None or Requirement(pin).marker.evaluate() for pin in found)  # type: ignore[union-attr]


def test_dependencies_that_lack_something_are_refused(tmp_path: Path) -> None:
    model = LinearRegression().fit(X, [1, 2, 3])
    with pytest.raises(LoadCheckError, match=r"No module named 'sklearn'.*dependencies="):
        save_model(model, tmp_path / "m.luml", sample=X, dependencies=["numpy"])
    assert list(tmp_path.iterdir()) == []
    saved = save_model(model, tmp_path / "m.luml", sample=X, dependencies=["scikit-learn", "not-installed-here==1"])
    assert pins(saved.path) == {"scikit-learn", "not-installed-here", "fnnx"}


def test_what_is_imported_only_if_it_is_there_is_no_part_of_it(tmp_path: Path, write_module: Any) -> None:
    module = write_module(
        "careful",
        """
        try:
            importer = __import__("tq" + "dm")
        except ImportError:
            importer = None

        def f(x):
            return x * 2
        """,
    )
    saved = save_model(module.f, tmp_path / "m.luml", sample=X)
    assert "tqdm" not in pins(saved.path)


def test_what_it_cannot_do_without_is_pinned_however_it_is_imported(tmp_path: Path, write_module: Any) -> None:
    module = write_module("hidden", "def f(x):\n    return __import__('tq' + 'dm').tqdm.__name__\n")
    saved = save_model(module.f, tmp_path / "m.luml", sample=X)
    assert "tqdm" in pins(saved.path)
    dependencies = stored_json(saved.path, "env.json")["python3::conda_pip"]["dependencies"]
    assert f"tqdm=={metadata.version('tqdm')}" in [one["package"] for one in dependencies]
