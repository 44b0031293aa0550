"""The load check: a fresh interpreter must load the stored model and predict what the original predicts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging.errors import LoadCheckError

_CHILD = Path(__file__).with_name("pyfuncs") / "load_check_child.py"
_TIMEOUT = 600.0
_REMEDY = "Save again when that is fixed, or pass check=False to store the model unchecked."


class Loaded(msgspec.Struct, frozen=True):
    """What a fresh interpreter found: the `outputs` of the model and the `modules` it imported (name → file or '')."""

    outputs: dict[str, Any]
    modules: dict[str, str]


def load_and_predict(
    model: Path, inputs: dict[str, Any], needed: Iterable[str] = (), barred: Iterable[str] = ()
) -> Loaded:
    """Load `model` in a fresh interpreter that sees neither the current folder nor the author's modules, and predict.

    `needed` are modules to tell of even if fnnx itself has imported them; `barred` modules are hidden from the model.
    Raises `LoadCheckError` with the last line of the traceback when that fails.
    """
    with tempfile.TemporaryDirectory(prefix="luml_check_") as folder:
        answer = Path(folder) / "answer.json"
        request = Path(folder) / "request.json"
        request.write_text(json.dumps({"inputs": inputs, "needed": sorted(needed), "barred": sorted(barred)}))
        # -I leaves out PYTHONPATH, the current folder and the user's own site-packages.
        command = [sys.executable, "-I", str(_CHILD), str(model.absolute()), str(request), str(answer)]
        finished = _run(command, folder)
        if not answer.exists():
            raise LoadCheckError(f"The fresh interpreter that loads the model died: {_last_line(finished)} {_REMEDY}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise LoadCheckError(
            f"The stored model does not load and predict by itself: {found['error']}. {_remedy(found['error'])}"
        )
    return Loaded(outputs=found["outputs"], modules=found["modules"])


def _remedy(error: str) -> str:
    """What to do about code that is found by names which no import statement has, so that it was not taken along."""
    if error.startswith("ModuleNotFoundError") or "__main__" in error:
        advice = "Import code of yours by a statement, so that it goes along, and name packages in dependencies=[…]."
        return f"{advice} {_REMEDY}"
    return _REMEDY


def _run(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadCheckError(f"The stored model did not answer within {_TIMEOUT:.0f} s. {_REMEDY}") from error


def _last_line(finished: subprocess.CompletedProcess[str]) -> str:
    lines = finished.stderr.strip().splitlines()
    return f"{lines[-1]}." if lines else f"exit code {finished.returncode}."


def first_difference(expected: Any, actual: Any, where: str = "") -> str | None:
    """Where two answers differ, in words; None when they agree.

    Integers, texts and booleans must be equal, floats within 1e-6 of each other; NaN equals NaN.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _difference_of_mappings(expected, actual, where)
    if isinstance(expected, list) and isinstance(actual, list):
        return _difference_of_lists(expected, actual, where)
    if _same(expected, actual):
        return None
    return f"{where}: the original gives {expected!r}, the stored model {actual!r}"


def _difference_of_mappings(expected: dict[str, Any], actual: dict[str, Any], where: str) -> str | None:
    if expected.keys() != actual.keys():
        return f"{where or 'outputs'}: the original gives {sorted(expected)}, the stored model {sorted(actual)}"
    names = (first_difference(expected[name], actual[name], f"{where}.{name}" if where else name) for name in expected)
    return next(filter(None, names), None)


def _difference_of_lists(expected: list[Any], actual: list[Any], where: str) -> str | None:
    if len(expected) != len(actual):
        return f"{where}: the original gives {len(expected)} values, the stored model {len(actual)}"
    rows = enumerate(zip(expected, actual, strict=True))
    found = (
        first_difference(want, have, f"{where}, row {row}" if "row" not in where else f"{where}[{row}]")
        for row, (want, have) in rows
    )
    return next(filter(None, found), None)


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, float) and isinstance(actual, float):
        if math.isnan(expected) or math.isnan(actual):
            return math.isnan(expected) and math.isnan(actual)
        return math.isclose(expected, actual, rel_tol=1e-6, abs_tol=1e-9)
    return type(expected) is type(actual) and bool(expected == actual)
