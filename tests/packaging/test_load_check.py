from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from luml_app.packaging import save_model
from luml_app.packaging.errors import LoadCheckError
from luml_app.packaging.load_check import first_difference

Write = Callable[[str, str], ModuleType]
X = np.arange(6.0).reshape(3, 2)


def test_code_that_only_the_author_can_find_is_refused(tmp_path: Path, write_module: Write) -> None:
    write_module("my_steps", "def twice(x):\n    return x * 2\n")
    text = "import importlib\n\ndef f(x):\n    return importlib.import_module('my_' + 'steps').twice(x)\n"
    module = write_module("finds", text)
    out = tmp_path / "out"
    with pytest.raises(LoadCheckError, match=r"No module named 'my_steps'.*by a statement"):
        save_model(module.f, out / "m.luml", sample=X)
    assert list(out.iterdir()) == []


def test_a_failed_save_leaves_the_earlier_file(tmp_path: Path, write_module: Write) -> None:
    path = tmp_path / "m.luml"
    path.write_bytes(b"earlier")
    module = write_module("fails_later", "import os\n\ndef f(x):\n    return x + os.getpid()\n")
    with pytest.raises(LoadCheckError, match=r"prediction, row 0\[0\]: the original gives"):
        save_model(module.f, path, sample=X)
    assert path.read_bytes() == b"earlier"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["author", "m.luml"]


def test_a_model_that_throws_dice_is_refused(tmp_path: Path, write_module: Write) -> None:
    module = write_module("dice", "import random\n\ndef f(x):\n    return [random.random() for _ in x]\n")
    with pytest.raises(LoadCheckError, match="another answer each time"):
        save_model(module.f, tmp_path / "m.luml", sample=X)


def test_a_model_that_dies_is_refused(tmp_path: Path, write_module: Write) -> None:
    module = write_module(
        "dies", "import os, sys\n\ndef f(x):\n    return x if 'pytest' in sys.modules else os._exit(3)\n"
    )
    with pytest.raises(LoadCheckError, match="exit code 3"):
        save_model(module.f, tmp_path / "m.luml", sample=X)


def test_unchecked_is_loud_and_stored(tmp_path: Path, write_module: Write) -> None:
    module = write_module("my_other_steps", "def twice(x):\n    return x * 2\n")
    model = make_pipeline(FunctionTransformer(module.twice), LinearRegression()).fit(X, [1, 2, 3])
    with pytest.warns(UserWarning, match="unchecked"):
        saved = save_model(model, tmp_path / "m.luml", sample=X, check=False)
    assert saved.path.exists()


def test_an_interpreter_without_the_authors_modules_computes(tmp_path: Path, write_module: Write) -> None:
    module = write_module("only_here", "def f(x):\n    return x.sum(axis=1)\n")
    saved = save_model(module.f, tmp_path / "m.luml", sample=X)
    code = (
        "import sys; from fnnx.stable.v1 import Runtime\n"
        "print(Runtime(sys.argv[1]).compute({'x': [[1, 2]]}, {})['prediction'].tolist(), 'luml_app' in sys.modules)"
    )
    command = [sys.executable, "-I", "-c", code, str(saved.path)]
    finished = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[3.0] False"


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        ({"p": [1, 2]}, {"p": [1, 2]}, None),
        ({"p": [float("nan")]}, {"p": [float("nan")]}, None),
        ({"p": [0.1]}, {"p": [0.1 + 1e-9]}, None),
        ({"p": [0.1]}, {"p": [0.2]}, "p, row 0: the original gives 0.1, the stored model 0.2"),
        ({"p": [1]}, {"p": [1.0]}, "p, row 0"),
        ({"p": [1]}, {"p": [True]}, "p, row 0"),
        ({"p": [[1, 2], [3, 4]]}, {"p": [[1, 2], [3, 5]]}, r"p, row 1\[1\]"),
        ({"p": [1]}, {"p": [1, 2]}, "1 values, the stored model 2"),
        ({"p": [1]}, {"q": [1]}, r"outputs: the original gives \['p'\]"),
        ({"p": [None]}, {"p": [float("nan")]}, "p, row 0"),
    ],
)
def test_differences_are_told_in_words(expected: object, actual: object, words: str | None) -> None:
    difference = first_difference(expected, actual)
    if words is None:
        assert difference is None
    else:
        assert re.search(words, difference or "")
