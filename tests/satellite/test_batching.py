"""Requests that are computed together: the same answers as one by one, and nobody suffers from a neighbour."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satellite.model_server.batching import batch_dimension, join, may_join, split
from satellite.model_server.exchange import Call, Reply
from tests.satellite.models import array
from tests.satellite.served import Serve, ServedModel
from tests.serving import in_a_loop

ROWS = st.integers(0, 5)


def call_of(inputs: dict[str, Any], **attributes: str) -> Call:
    return Call(inputs, attributes, lambda outputs: Reply(200, b""))


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """Calls of one model with a vector of numbers, a matrix and a vector of texts."""
    found = []
    for rows in draw(st.lists(ROWS, min_size=1, max_size=6)):
        numbers = draw(st.lists(st.floats(allow_nan=True), min_size=rows, max_size=rows))
        texts = draw(st.lists(st.text(max_size=8), min_size=rows, max_size=rows))
        inputs = {
            "x": np.array(numbers, dtype=np.float64),
            "m": np.arange(rows * 3, dtype=np.int64).reshape(rows, 3),
            "s": np.array(texts, dtype=np.str_),
        }
        found.append(call_of(inputs))
    return found


@given(calls())
def test_what_is_joined_and_split_is_what_it_was(several: list[Call]) -> None:
    assert all(may_join(several[0], other) for other in several)
    joined = join(several)
    parts = split(joined, [len(call.inputs["x"]) for call in several])
    for call, part in zip(several, parts, strict=True):
        for name, value in call.inputs.items():
            np.testing.assert_array_equal(part[name], value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "dimension"),
    [
        ([array("x")], [array("y")], "batch"),
        ([array("x", shape=("batch", 3)), array("z", "string")], [array("y")], "batch"),
        ([array("x", shape=("n",)), array("z", shape=("m",))], [array("y", shape=("n",))], None),
        ([array("x", shape=(4,))], [array("y", shape=(4,))], None),
        ([array("x")], [array("y", shape=(1,))], None),
        ([array("x")], [array("y", shape=("batch", "batch"))], None),
        ([array("x")], [{"name": "y", "content_type": "JSON", "dtype": "ext::any"}], None),
        ([{"name": "x", "content_type": "NDJSON", "dtype": "NDContainer[float]", "shape": ["batch"]}], [], None),
        ([array("x", shape=())], [array("y")], None),
    ],
)
def test_only_a_shared_named_first_dimension_is_a_batch(inputs: Any, outputs: Any, dimension: str | None) -> None:
    assert batch_dimension({"inputs": inputs, "outputs": outputs}) == dimension


def test_calls_with_other_attributes_stay_apart() -> None:
    one = {"x": np.zeros(1)}
    assert may_join(call_of(one, a="1"), call_of(one, a="1"))
    assert not may_join(call_of(one, a="1"), call_of(one, a="2"))
    assert not may_join(call_of({"x": np.zeros((1, 2))}), call_of({"x": np.zeros((1, 3))}))
    long = call_of({"x": np.array(["a" * 100_000])})
    assert not may_join(long, call_of({"x": np.array(["b"])}))
    assert not may_join(call_of({"x": np.array(["b"])}), long)


class Gate:
    """Lets a model wait until so many requests have come, so that they are computed together."""

    def __init__(self, folder: Path) -> None:
        self.open = folder / "open"
        self.started = folder / "started"
        wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(self.open)!r}), True)]"
        #  Only the request with a negative number waits; the others come while it does.
        self.expression = f"(open({str(self.started)!r}, 'w').close(), {wait}) if inputs['x'].min() < 0 else None"


async def ask_all(client: httpx.Client, bodies: list[dict[str, Any]], gate: Gate) -> list[httpx.Response]:
    """The answers to requests that wait while the model is busy with others, one for each of its threads."""
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as asking:
        busy = [asyncio.create_task(asking.post("/compute", json={"inputs": {"x": [-1.0]}})) for _ in range(8)]
        while not gate.started.exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        tasks = [asyncio.create_task(asking.post("/compute", json=body)) for body in bodies]
        await asyncio.sleep(0.3)
        gate.open.touch()
        answers = await asyncio.gather(*tasks)
        await asyncio.gather(*busy)
    return answers


def sizes_in(folder: Path) -> list[int]:
    """How many rows the calls of the model had."""
    return [int(line) for line in (folder / "calls").read_text().split()]


def counting(folder: Path) -> str:
    return f"open({str(folder / 'calls')!r}, 'a').write(str(len(inputs['x'])) + chr(10))"


def test_requests_that_wait_are_computed_together_and_answered_apart(serve: Serve, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    client = serve(expression=f"({counting(tmp_path)}, {gate.expression}, {{'y': inputs['x'] * 2}})[2]")
    for _ in range(2):
        bodies = [{"inputs": {"x": [float(n)] * (n % 3 + 1)}} for n in range(30)]
        answers = in_a_loop(ask_all(client, bodies, gate))
        assert [answer.json() for answer in answers] == [{"y": [2.0 * n] * (n % 3 + 1)} for n in range(30)]
    assert max(sizes_in(tmp_path)) > 10


def test_a_bad_row_fails_alone(serve: Serve, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    client = serve(expression=f"({gate.expression}, {{'y': 1 / inputs['x']}} if 7 not in inputs['x'] else [][1])[1]")
    bodies = [{"inputs": {"x": [float(n)]}} for n in range(1, 13)]
    answers = in_a_loop(ask_all(client, bodies, gate))
    assert [answer.status_code for answer in answers] == [500 if n == 7 else 200 for n in range(1, 13)]


def test_rows_that_depend_on_each_other_are_found_out(serve: Serve, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    client = serve(expression=f"({gate.expression}, {{'y': inputs['x'] - inputs['x'].mean()}})[1]")
    for _ in range(3):
        answers = in_a_loop(ask_all(client, [{"inputs": {"x": [float(n)]}} for n in range(12)], gate))
        assert [answer.json() for answer in answers] == [{"y": [0.0]}] * 12


def test_batches_are_bounded(serve: Serve, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    expression = f"({counting(tmp_path)}, {gate.expression}, {{'y': inputs['x']}})[2]"
    client = serve("--batch-rows", "4", expression=expression)
    in_a_loop(ask_all(client, [{"inputs": {"x": [1.0]}} for _ in range(20)], gate))
    assert 1 < max(sizes_in(tmp_path)) <= 4


def test_other_attributes_are_computed_apart(serve: Serve, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    expression = f"({gate.expression}, {{'y': inputs['x'] * float(dynamic_attributes.get('f', 1))}})[1]"
    client = serve(expression=expression, attributes=("f",))
    bodies = [{"inputs": {"x": [1.0]}, "dynamic_attributes": {"f": str(n % 3)}} for n in range(12)]
    answers = in_a_loop(ask_all(client, bodies, gate))
    assert [answer.json()["y"] for answer in answers] == [[float(n % 3)] for n in range(12)]


def test_more_requests_than_may_wait_are_refused(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    folder = tmp_path / "served"
    folder.mkdir()
    served = ServedModel(folder, "--queue", "3", expression=f"({gate.expression}, {{'y': inputs['x']}})[1]")
    answers = in_a_loop(ask_all(served.client, [{"inputs": {"x": [1.0]}} for _ in range(20)], gate))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused and all(answer.headers["retry-after"] for answer in refused)
    assert len([answer for answer in answers if answer.status_code == 200]) <= 3
    assert json.loads(refused[0].content)["detail"] == "Too many requests are waiting for this model"
    assert served.stop() == 0
