"""PyTorch, ONNX and transformers, from what they take to HTTP answers of the model server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luml_app.packaging import save_model
from luml_app.packaging.errors import StorageError
from tests.packaging.conftest import compute, needs, pins, stored_json
from tests.packaging.flavours.conftest import SAMPLES, Serve, array, assert_same, target

Write = Callable[[str, str], ModuleType]


def every(fast: str) -> list[Any]:
    return [name if name == fast else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLES]


def numeric(kind: str) -> Any:
    """Rows that a network takes: categories are codes, and what is missing is NaN."""
    rows = SAMPLES[kind]()
    return rows.assign(grade=rows["grade"].cat.codes) if "grade" in getattr(rows, "columns", ()) else rows


def network(columns: int) -> Any:
    import torch

    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(columns, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(8, 2),
    )


def forward(model: Any, *tensors: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(*tensors).numpy()


@pytest.mark.parametrize("kind", every("missing"))
def test_a_module_of_torch(served: Serve, kind: str) -> None:
    needs("torch")
    import torch

    rows = numeric(kind)
    values = np.asarray(rows, dtype="float32")
    model = network(values.shape[1])
    outputs = served(model, rows)
    assert model.training, "the model is left as it was"
    wanted = forward(model, torch.from_numpy(values))
    assert np.isnan(wanted).any() == (kind == "missing")
    assert_same(outputs, prediction=wanted)


def test_a_module_of_torch_is_a_program_without_code(tmp_path: Path, write_module: Write) -> None:
    needs("torch")
    import torch

    nets = write_module(
        "my_nets",
        """
        import torch

        class Two(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.words = torch.nn.Embedding(10, 4)
                self.numbers = torch.nn.Linear(3, 4)

            def forward(self, ids, x):
                return {"sum": self.words(ids).sum(1) + self.numbers(x), "ids": ids}
        """,
    )
    model = nets.Two().eval()
    sample = {"ids": torch.tensor([[1, 2]]), "x": torch.zeros(1, 3)}
    saved = save_model(model, tmp_path / "m.luml", sample=sample)
    members = {name for name in saved.file_index if "extra_" in name}
    assert members == {"variant_artifacts/extra_files/model.pt2", "variant_artifacts/extra_modules/luml_reader.py"}
    ids, x = [[1, 2], [3, 4], [5, 6]], [[0.5, 1, 2]] * 3
    answer = compute(saved.path, {"ids": ids, "x": x})
    wanted = model(torch.tensor(ids), torch.tensor(x))
    np.testing.assert_allclose(answer["sum"], wanted["sum"].detach().numpy(), rtol=1e-6)
    assert answer["ids"].tolist() == ids
    assert "torch" in pins(saved.path)


def test_a_module_that_decides_by_values_takes_its_code_along(tmp_path: Path, write_module: Write) -> None:
    needs("torch")
    nets = write_module(
        "my_deciding",
        """
        import torch

        class Signed(torch.nn.Module):
            def __init__(self, by):
                super().__init__()
                self.by = torch.nn.Parameter(torch.tensor(by))

            def forward(self, x):
                return x * self.by if x.sum() > 0 else -x
        """,
    )
    saved = save_model(nets.Signed(3.0), tmp_path / "m.luml", sample=np.ones((2, 2)))
    assert "variant_artifacts/extra_modules/my_deciding.py" in saved.file_index
    assert compute(saved.path, {"x": [[1, 2]]})["prediction"].tolist() == [[3, 6]]
    assert compute(saved.path, {"x": [[-1, -2]]})["prediction"].tolist() == [[1, 2]]
    with pytest.raises(StorageError, match="leave out method"):
        save_model(nets.Signed(3.0), tmp_path / "n.luml", sample=np.ones((2, 2)), method="half")


def onnx_matrix(columns: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    weights = np.arange(columns * 2, dtype="float32").reshape(columns, 2)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["scores"]), helper.make_node("ArgMax", ["scores"], ["best"], axis=1)],
        "matrix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", columns])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("best", TensorProto.INT64, ["batch", 1]),
        ],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", every("missing"))
def test_a_graph_of_onnx(served: Serve, kind: str) -> None:
    rows = numeric(kind)
    values = np.asarray(rows, dtype="float32")
    scores = values @ np.arange(values.shape[1] * 2, dtype="float32").reshape(-1, 2)
    outputs = served(onnx_matrix(values.shape[1]), rows)
    np.testing.assert_allclose(np.array(outputs["scores"], dtype=float), scores, rtol=1e-5)
    assert np.shape(outputs["best"]) == (len(rows), 1)


def test_a_graph_with_an_input_for_each_column(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    def column(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["batch", 1])

    graph = helper.make_graph(
        [helper.make_node("Identity", ["city"], ["place"]), helper.make_node("Neg", ["age"], ["negative"])],
        "columns",
        [column("age", TensorProto.FLOAT), column("city", TensorProto.STRING)],
        [column("place", TensorProto.STRING), column("negative", TensorProto.FLOAT)],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    rows = pd.DataFrame({"city": ["Bern", "Zug"], "age": [1.5, np.nan]})
    saved = save_model(path, tmp_path / "m.luml", sample=rows)
    answer = compute(saved.path, {"city": ["Genf"], "age": [2]})
    assert (answer["place"].tolist(), answer["negative"].tolist()) == ([["Genf"]], [[-2.0]])
    assert "onnxruntime" in pins(saved.path)
    with pytest.raises(StorageError, match="ONNX Runtime does not load"):
        (tmp_path / "broken.onnx").write_bytes(b"nothing")
        save_model(tmp_path / "broken.onnx", tmp_path / "n.luml", sample=rows)


@pytest.fixture
def classifier() -> Any:
    """A tiny text classifier with weights of its own making."""
    needs("transformers")
    needs("torch")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

    torch.manual_seed(5)
    words = ["[PAD]", "[UNK]", "good", "bad", "day", "night"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(words), id2label={0: "down", 1: "up"}, label2id={"down": 0, "up": 1}, **sizes)
    return pipeline("text-classification", model=BertForSequenceClassification(config), tokenizer=fast, top_k=2)


def same_scores(outputs: dict[str, Any], wanted: list[list[dict[str, Any]]]) -> bool:
    assert list(outputs) == ["prediction"]
    for row, expected in zip(outputs["prediction"], wanted, strict=True):
        assert [one["label"] for one in row] == [one["label"] for one in expected]
        np.testing.assert_allclose([one["score"] for one in row], [one["score"] for one in expected], rtol=1e-5)
    return True


def test_a_pipeline_of_transformers(served: Serve, classifier: Any) -> None:
    texts = ["good day", "bad night", "unheard of"]
    outputs = served(classifier, texts)
    assert classifier.model.training, "the model is left as it was"
    classifier.model.eval()
    assert same_scores(outputs, classifier(texts))


@pytest.mark.slow
def test_a_pipeline_of_transformers_on_a_column(served: Serve, classifier: Any) -> None:
    rows = pd.DataFrame({"text": ["good day", "bad night"]})
    outputs = served(classifier, rows)
    classifier.model.eval()
    assert same_scores(outputs, classifier(rows["text"].tolist()))


def test_a_pipeline_says_what_it_needs(tmp_path: Path, classifier: Any) -> None:
    with pytest.warns(UserWarning, match="unchecked"):
        saved = save_model(classifier, tmp_path / "m.luml", sample=["good"], check=False)
    assert {"torch", "transformers", "tokenizers", "safetensors"} <= pins(saved.path)
    assert stored_json(saved.path, "variant_config.json")["extra_values"]["luml"]["task"] == "text-classification"
    assert any(name.endswith("pipeline/model.safetensors") for name in saved.file_index)


def test_a_tensor_is_a_sample(tmp_path: Path) -> None:
    needs("torch")
    import torch
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(array(), target())
    saved = save_model(model, tmp_path / "m.luml", sample=torch.from_numpy(array()))
    assert saved.manifest["inputs"][0]["dtype"] == "Array[float64]"
