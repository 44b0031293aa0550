"""The short way of reading a request gives what the general way gives, or nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satellite.model_server.exchange import Refusal
from satellite.model_server.inputs import check_request, checked_inputs
from satellite.model_server.large import LARGE, LargeReader
from satellite.model_server.model import LoadedModel
from satellite.model_server.typed import reader_of
from tests.satellite.models import array

MANIFEST = {
    "inputs": [array("x"), array("m", "float32", ("batch", 2)), array('say "x"')],
    "outputs": [],
    "dynamic_attributes": [],
}
PLAIN = {**MANIFEST, "inputs": MANIFEST["inputs"][:2]}
MODEL = LoadedModel(None, PLAIN)
READ = reader_of(PLAIN)
SCALARS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.none(), st.booleans(), st.text(max_size=3))
NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60))
VALUES = st.one_of(
    st.lists(NUMBERS, max_size=4), st.lists(SCALARS, max_size=3), st.lists(st.lists(NUMBERS, max_size=3), max_size=4),
    st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=4), SCALARS,
)  # fmt: skip


def general(body: Any) -> dict[str, Any] | str:
    try:
        return check_request(MODEL, body, {})[0]
    except Refusal as refusal:
        return refusal.message


def short(body: Any, padding: int = 0) -> dict[str, Any] | str | None:
    assert READ
    found = READ(json.dumps(body).encode() + b" " * padding)
    try:
        return checked_inputs(MODEL, found[0]) if found else None
    except Refusal as refusal:
        return refusal.message


@pytest.mark.parametrize("padding", [0, LARGE])
@given(st.dictionaries(st.sampled_from(["x", "m", "z"]), VALUES))
def test_it_reads_what_the_general_way_reads(padding: int, inputs: dict[str, Any]) -> None:
    body = json.loads(json.dumps({"inputs": inputs}))
    found = short(body, padding)
    wanted = general(body)
    if found is None or isinstance(found, str):
        assert found in (None, wanted)
        return
    assert isinstance(wanted, dict)
    for name, value in wanted.items():
        assert value.dtype == found[name].dtype
        np.testing.assert_array_equal(value, found[name])


def test_it_knows_plain_numbers() -> None:
    body = {"inputs": {"x": [1, 2.5], "m": [[1, 2], [3, 4]]}}
    found = short(body)
    assert isinstance(found, dict)
    assert found["m"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_it_reads_large_bodies_without_an_object_for_each_number() -> None:
    reader = LargeReader({"x": 1, "m": 2})
    assert reader.simdjson
    plain: dict[str, Any] = {"x": [1, 2.5, -0.0], "m": [[1, 2], [3, 4]]}
    for _ in range(2):
        found = reader.read(padded({"dynamic_attributes": {"a": "b"}, "inputs": plain}))
        assert found
        assert ({name: one.tolist() for name, one in found[0].items()}, found[1]) == (plain, {"a": "b"})
    odd: list[dict[str, Any]] = [
        {"inputs": plain | {"m": [[1, [2]], [3, 4]]}},
        {"inputs": plain | {"m": [[1, 2, 3], [4]]}},
        {"inputs": plain | {"m": [1, 2]}},
        {"inputs": plain | {"m": []}},
        {"inputs": plain | {"x": [1, None]}},
        {"inputs": plain | {"x": [1, "2"]}},
        {"inputs": plain | {"x": [2**70]}},
        {"inputs": plain | {"x": [[1], [2]]}},
        {"inputs": plain | {"y": [1]}},
        {"inputs": plain, "more": 1},
        {"inputs": {"x": [1]}},
        {"inputs": []},
    ]
    assert [body for body in odd if reader.read(padded(body))] == []
    assert reader.read(b'{"inputs": {"x": [1], "x": [2], "m": [[1, 2]]}}' + b" " * LARGE) is None
    assert reader.read(b"[" + b" " * LARGE) is None
    assert reader.read(padded({"inputs": plain})), "what is wrong leaves nothing behind"


def padded(body: Any) -> bytes:
    return json.dumps(body).encode() + b" " * LARGE


def test_other_models_are_read_in_the_general_way() -> None:
    assert reader_of(MANIFEST) is None
    assert reader_of({"inputs": []}) is None
    assert reader_of({"inputs": [array("n", "int64")]}) is None
    assert reader_of({"inputs": [array("x", shape=("a", "b", "c"))]}) is None
