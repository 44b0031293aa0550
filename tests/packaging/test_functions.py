from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luml_app.packaging import read_artifact, save_model
from luml_app.packaging.errors import SampleError, SourceError
from tests.packaging.conftest import compute, pins, stored_json

Write = Callable[[str, str], ModuleType]
FRAME = pd.DataFrame({"a": [1.0, 2.0, None], "b": ["x", None, "z"]})
FACTOR = 3
LOOKUP = {"x": 1, "z": 2}


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    """Named by the function below: both go along."""
    return frame.assign(a=frame["a"] * FACTOR, c=frame["b"].map(LOOKUP))


def test_a_function_of_a_module_with_its_neighbours(tmp_path: Path, write_module: Write) -> None:
    write_module("shop", "")
    (tmp_path / "author" / "shop.py").unlink()
    write_module("store.rates", "RATE = 2\n")
    write_module("store.deep.more", "from ..rates import RATE\n\ndef rate():\n    return RATE\n")
    module = write_module(
        "store.pricing",
        """
        import pandas as pd
        from .deep import more

        def price(frame):
            from store import rates  # while it runs
            return pd.DataFrame({"price": frame["a"] * more.rate() * rates.RATE, "b": frame["b"]})
        """,
    )
    saved = save_model(module.price, tmp_path / "m.luml", sample=FRAME)
    answer = compute(saved.path, {"a": [1, None], "b": ["u", None]})
    np.testing.assert_equal(answer["price"], [4.0, np.nan])
    assert answer["b"].tolist() == ["u", None]
    outputs = {entry["name"]: entry["dtype"] for entry in saved.manifest["outputs"]}
    assert outputs == {"price": "Array[float64]", "b": "Array[string]"}
    assert "variant_artifacts/extra_modules/store/pricing.py" in saved.file_index
    assert {"numpy", "pandas", "fnnx"} <= pins(saved.path)
    assert "scikit-learn" not in pins(saved.path)


def test_a_local_function_goes_with_what_it_names(tmp_path: Path) -> None:
    def predict(frame):
        return doubled(frame)[["a", "c"]]

    saved = save_model(predict, tmp_path / "m.luml", sample=FRAME)
    answer = compute(saved.path, {"a": [1, 2], "b": ["x", None]})
    np.testing.assert_equal(answer["a"], [3.0, 6.0])
    np.testing.assert_equal(answer["c"], [1.0, np.nan])


def test_functions_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import numpy as np
            from math import sqrt
            from luml_app.packaging import save_model

            SHIFT = 1.5

            def shifted(x):
                return np.asarray(x) + SHIFT

            class Model:
                def __init__(self, scale):
                    self.scale = scale

                def __call__(self, x):
                    return {"y": shifted(x[:, 0]) * self.scale, "root": [sqrt(v) for v in x[:, 0]]}

            sample = np.array([[1.0], [4.0]])
            save_model(lambda_free := shifted, sys.argv[1] + "/f.luml", sample=sample)
            save_model(Model(2), sys.argv[1] + "/c.luml", sample=sample)
            """
        )
    )
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    assert compute(tmp_path / "f.luml", {"x": [[1.0]]})["prediction"].tolist() == [[2.5]]
    answer = compute(tmp_path / "c.luml", {"x": [[4.0]]})
    assert (answer["y"].tolist(), answer["root"].tolist()) == ([11.0], [2.0])


def test_functions_of_notebook_cells(tmp_path: Path) -> None:
    ipython = pytest.importorskip("IPython.core.interactiveshell")
    shell = ipython.InteractiveShell()
    cells = [
        "import numpy as np\nfrom luml_app.packaging import save_model\nLIMIT = 2",
        "def clip(x):\n    return np.minimum(x, LIMIT)",
        "class Clipped:\n    def __init__(self, more):\n        self.more = more\n    def __call__(self, x):\n"
        "        return clip(x) + self.more",
        f"save_model(clip, r'{tmp_path}/f.luml', sample=np.array([1.0, 5.0]))",
        f"save_model(Clipped(10), r'{tmp_path}/c.luml', sample=np.array([1.0, 5.0]))",
    ]
    main = sys.modules["__main__"]
    try:
        sys.modules["__main__"] = shell.user_module
        for cell in cells:
            shell.run_cell(cell, store_history=True).raise_error()
    finally:
        sys.modules["__main__"] = main
    assert compute(tmp_path / "f.luml", {"x": [1.0, 5.0]})["prediction"].tolist() == [1.0, 2.0]
    assert compute(tmp_path / "c.luml", {"x": [1.0, 5.0]})["prediction"].tolist() == [11.0, 12.0]


def test_a_callable_class_and_its_instance(tmp_path: Path, write_module: Write) -> None:
    module = write_module(
        "counting",
        """
        class Model:
            def __init__(self, weights=(1.0, 2.0)):
                self.weights = list(weights)

            def __call__(self, x):
                return x @ self.weights
        """,
    )
    sample = np.eye(2)
    saved = save_model(module.Model, tmp_path / "class.luml", sample=sample)
    assert compute(saved.path, {"x": [[1, 1]]})["prediction"].tolist() == [3.0]
    saved = save_model(module.Model([5, 5]), tmp_path / "instance.luml", sample=sample)
    assert compute(saved.path, {"x": [[1, 1]]})["prediction"].tolist() == [10.0]


def test_a_mapping_of_arrays_lists_and_values(tmp_path: Path, write_module: Write) -> None:
    module = write_module(
        "mapping",
        """
        def mix(inputs):
            assert type(inputs["words"]) is list and type(inputs["top"]) is int
            total = inputs["numbers"].sum(axis=1)
            return {"total": total, "words": inputs["words"][: inputs["top"]], "info": {"mode": inputs["mode"]}}
        """,
    )
    sample = {"numbers": np.ones((2, 3), dtype="float32"), "words": ["a", "b"], "top": 1, "mode": "fast"}
    saved = save_model(module.mix, tmp_path / "m.luml", sample=sample)
    inputs = {entry["name"]: (entry["content_type"], entry["dtype"]) for entry in saved.manifest["inputs"]}
    assert inputs == {
        "numbers": ("NDJSON", "Array[float64]"),
        "words": ("NDJSON", "Array[string]"),
        "top": ("JSON", "ext::integer"),
        "mode": ("JSON", "ext::string"),
    }
    answer = compute(saved.path, {"numbers": [[1, 2, 3]], "words": ["u", "v"], "top": 2, "mode": "slow"})
    assert answer["total"].tolist() == [6.0]
    assert answer["words"].tolist() == ["u", "v"]
    assert answer["info"] == {"mode": "slow"}
    assert stored_json(saved.path, "dtypes.json")["ext::integer"] == {"type": "integer"}


def test_a_series_a_scalar_and_datetimes(tmp_path: Path, write_module: Write) -> None:
    module = write_module(
        "answers",
        """
        import pandas as pd

        def later(times):
            return {"later": times + pd.Timedelta(days=1), "n": len(times), "first": times.to_numpy()}
        """,
    )
    sample = pd.Series(pd.to_datetime(["2024-01-01", None]), name="when")
    saved = save_model(module.later, tmp_path / "m.luml", sample=sample)
    answer = compute(saved.path, {"when": ["2024-05-05T10:00:00", None]})
    assert answer["later"].tolist() == ["2024-05-06T10:00:00", None]
    assert answer["n"] == 2
    assert answer["first"].tolist()[0].startswith("2024-05-05T10:00:00")


def test_a_ready_made_pyfunc(tmp_path: Path, write_module: Write) -> None:
    write_module("pyfunc_part", "SHIFT = 1\n")
    module = write_module(
        "ready_made",
        """
        from fnnx.variants.pyfunc import PyFunc
        from pyfunc_part import SHIFT

        class Ready(PyFunc):
            def warmup(self):
                self.shift = SHIFT

            def compute(self, inputs, dynamic_attributes):
                return {"y": inputs["x"] + self.shift}

            async def compute_async(self, inputs, dynamic_attributes):
                return self.compute(inputs, dynamic_attributes)
        """,
    )
    saved = save_model(module.Ready, tmp_path / "m.luml", sample={"x": [1, 2]})
    assert compute(saved.path, {"x": [5]})["y"].tolist() == [6]
    assert stored_json(saved.path, "variant_config.json")["pyfunc_classname"] == "Ready"
    assert read_artifact(saved.path).type == "model"
    with pytest.raises(SampleError, match="dict of its inputs"):
        save_model(module.Ready, tmp_path / "n.luml", sample=FRAME)


def make_closure() -> Callable[[Any], Any]:
    factor = 2

    def scaled(x: Any) -> Any:
        return x * factor

    return scaled


STATE = pd.DataFrame({"a": [1]})


def names_a_frame(x: Any) -> Any:
    return x + len(STATE)


def test_source_that_cannot_be_had_is_refused_with_a_remedy(tmp_path: Path) -> None:
    def local(x: Any) -> Any:
        return names_a_frame(x)

    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def typed(x):\n    return x", namespace)
    refused = {
        "closure": (make_closure(), r"'factor'.*__call__"),
        "lambda": (lambda x: x, "with def"),
        "partial": (partial(doubled), "partial.*wrap it"),
        "builtin": (len, "wrap it"),
        "state": (local, "variable 'STATE'"),
        "typed": (namespace["typed"], r"\.py file"),
    }
    for target, remedy in refused.values():
        with pytest.raises(SourceError, match=remedy):
            save_model(target, tmp_path / "m.luml", sample=np.ones(2))
    assert list(tmp_path.iterdir()) == []


def test_the_function_gets_a_copy_of_the_sample(tmp_path: Path, write_module: Write) -> None:
    module = write_module("writing", "def write(frame):\n    frame['a'] = frame['a'] + 1\n    return frame['a']\n")
    sample = pd.DataFrame({"a": [1, 2]})
    save_model(module.write, tmp_path / "m.luml", sample=sample)
    assert sample["a"].tolist() == [1, 2]
