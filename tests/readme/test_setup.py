"""What stands around the code: pins, and a Makefile that says what it lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme.person import ROOT, missing_tool

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+]+)")


def test_constraints_are_plain_pins_each_name_once() -> None:
    pins = [PIN.fullmatch(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert all(pins)
    names = [canonicalize_name(pin[1]) for pin in pins if pin]
    assert len(names) == len(set(names))


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(pin[1]): pin[2] for pin in map(PIN.fullmatch, lines) if pin}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        needed = Requirement(text)
        if canonicalize_name(needed.name) != "luml":
            pin = pinned.get(canonicalize_name(needed.name))
            assert pin and pin in needed.specifier, f"{text}: run `make constraints`"


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_an_unfit_python_is_refused_in_one_sentence(python: str, tmp_path: Path) -> None:
    if tool := missing_tool():
        pytest.skip(f"this machine lacks {tool}")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    argv = ["make", "test", f"PYTHON={python}"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(f"LUML needs Python 3.11 or newer, which {python} is not")
    assert not (tmp_path / ".venv").exists()


def test_contributing_is_read_in_one_sitting() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 150
