"""Graphs of LangGraph: a variable of a module, or a function that makes them; and how they answer when served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from luml_app.packaging import save_model
from luml_app.packaging.errors import SampleError, SourceError
from tests.packaging.conftest import compute, needs, pins
from tests.packaging.flavours.conftest import Serve

Write = Callable[[str, str], ModuleType]
AGENT = """
from typing import Annotated, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

from agent_tools import shout


class State(TypedDict, total=False):
    messages: Annotated[list, add_messages]
    tags: list
    count: int


async def answer(state):
    return {"messages": [AIMessage(shout(state["messages"][-1].content))]}


def count(state):
    return {"count": len(state["messages"])}


builder = StateGraph(State)
builder.add_node("answer", answer)
builder.add_node("count", count)
builder.add_edge(START, "answer")
builder.add_edge("answer", "count")
builder.add_edge("count", END)
graph = builder.compile()


def build():
    return builder.compile()
"""
QUESTION = {"messages": [{"role": "user", "content": "hello"}], "tags": ["a"]}
ANSWER = {"messages": [*QUESTION["messages"], {"role": "assistant", "content": "HELLO"}], "tags": ["a"], "count": 2}


@pytest.fixture
def agent(write_module: Write) -> ModuleType:
    needs("langgraph")
    write_module("agent_tools", "def shout(text):\n    return text.upper()\n")
    return write_module("my_agent", AGENT)


@pytest.mark.parametrize("what", ["graph", "build"])
def test_a_graph_is_served(served: Serve, agent: ModuleType, what: str) -> None:
    assert served(getattr(agent, what), QUESTION) == ANSWER


def test_a_graph_goes_with_its_modules_and_takes_json(tmp_path: Path, agent: ModuleType) -> None:
    saved = save_model(agent.graph, tmp_path / "m.luml", sample=QUESTION)
    assert {"variant_artifacts/extra_modules/my_agent.py", "variant_artifacts/extra_modules/agent_tools.py"} <= set(
        saved.file_index
    )
    types = {one["name"]: one["dtype"] for one in saved.manifest["inputs"]}
    assert types == {"messages": "ext::array", "tags": "ext::array"}
    assert {"langgraph", "langchain-core"} <= pins(saved.path)
    assert compute(saved.path, {"messages": [{"role": "user", "content": "hi"}], "tags": []})["count"] == 2


def test_a_graph_of_no_module_is_refused_with_a_remedy(tmp_path: Path, agent: ModuleType) -> None:
    with pytest.raises(SourceError, match="def build"):
        save_model(agent.builder.compile(), tmp_path / "m.luml", sample=QUESTION)
    with pytest.raises(SampleError, match="is a mapping"):
        save_model(agent.graph, tmp_path / "m.luml", sample=["hello"])


def test_no_library_is_imported_for_the_sake_of_recognising(tmp_path: Path, write_module: Write) -> None:
    import subprocess
    import sys

    code: Any = (
        "import sys\nfrom luml_app.packaging import save_model\n"
        "def f(x):\n    return [v * 2 for v in x]\n"
        "save_model(f, sys.argv[1], sample=[1, 2])\n"
        # fnnx itself imports onnxruntime where that is installed.
        "heavy = {'xgboost', 'lightgbm', 'catboost', 'torch', 'onnx', 'transformers', 'langgraph', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    script = tmp_path / "train.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(tmp_path / "m.luml")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
