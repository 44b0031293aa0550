"""Code of the author's inside of pickled models: modules, packages, and what was written in a notebook or script."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from luml_app.packaging import save_model
from tests.packaging.conftest import compute

Write = Callable[[str, str], ModuleType]
X = np.arange(6.0).reshape(3, 2)
STEP = """
    from sklearn.base import BaseEstimator, TransformerMixin
    from .{helper} import FACTOR

    class Step(TransformerMixin, BaseEstimator):
        def fit(self, x, y=None):
            return self

        def transform(self, x):
            return x * FACTOR
"""


def test_functions_and_classes_in_a_pipeline(tmp_path: Path, write_module: Write) -> None:
    module = write_module("my_steps", "def twice(x):\n    return x * 2\n")
    model = make_pipeline(FunctionTransformer(module.twice), LinearRegression()).fit(X, [1, 2, 3])
    saved = save_model(model, tmp_path / "m.luml", sample=X)
    assert "variant_artifacts/extra_modules/my_steps.py" in saved.file_index
    np.testing.assert_allclose(compute(saved.path, {"x": X.tolist()})["prediction"], model.predict(X))


def test_two_files_of_the_same_name(tmp_path: Path, write_module: Write) -> None:
    write_module("cleaning.constants", "FACTOR = 2\n")
    write_module("scaling.constants", "FACTOR = 10\n")
    first = write_module("cleaning.steps", STEP.format(helper="constants"))
    second = write_module("scaling.steps", STEP.format(helper="constants"))
    model = make_pipeline(first.Step(), second.Step(), LinearRegression()).fit(X, [1, 2, 3])
    saved = save_model(model, tmp_path / "m.luml", sample=X)
    code = (
        "import sys; from fnnx.stable.v1 import Runtime\n"
        "print(Runtime(sys.argv[1]).compute({'x': [[0, 1]]}, {})['prediction'].tolist())"
    )
    command = [sys.executable, "-I", "-c", code, str(saved.path)]
    finished = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    np.testing.assert_allclose(eval(finished.stdout), model.predict(np.array([[0.0, 1.0]])))


def test_steps_that_a_script_defines(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import numpy as np
            from sklearn.base import BaseEstimator, TransformerMixin
            from sklearn.linear_model import LinearRegression
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import FunctionTransformer
            from luml_app.packaging import save_model

            SHIFT = 1.5

            def shifted(x):
                return np.asarray(x) + SHIFT

            class Scaled(TransformerMixin, BaseEstimator):
                def __init__(self, by=2):
                    self.by = by

                def fit(self, x, y=None):
                    return self

                def transform(self, x):
                    return shifted(x) * self.by

            class Service:
                def __init__(self, model):
                    self.model = model

                def __call__(self, x):
                    return self.model.predict(x)

            x = np.arange(6.0).reshape(3, 2)
            model = make_pipeline(FunctionTransformer(shifted), Scaled(3), LinearRegression()).fit(x, [1, 2, 4])
            save_model(model, sys.argv[1] + "/m.luml", sample=x)
            save_model(Service(model), sys.argv[1] + "/s.luml", sample=x)
            print(model.predict([[1, 1]])[0])
            """
        )
    )
    finished = subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, text=True)
    for name in ("m", "s"):
        answer = compute(tmp_path / f"{name}.luml", {"x": [[1, 1]]})["prediction"].tolist()
        np.testing.assert_allclose(answer, [float(finished.stdout)])
