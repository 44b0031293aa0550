"""The short way of reading a request gives what the general way gives, or nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from satellite.model_server.exchange import Refusal
from satellite.model_server.inputs import check_request, checked_inputs
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


def short(body: Any) -> dict[str, Any] | str | None:
    assert READ
    found = READ(json.dumps(body).encode())
    try:
        return checked_inputs(MODEL, found[0]) if found else None
    except Refusal as refusal:
        return refusal.message


@given(st.dictionaries(st.sampled_from(["x", "m", "z"]), VALUES))
def test_it_reads_what_the_general_way_reads(inputs: dict[str, Any]) -> None:
    body = json.loads(json.dumps({"inputs": inputs}))
    found = short(body)
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


def test_other_models_are_read_in_the_general_way() -> None:
    assert reader_of(MANIFEST) is None
    assert reader_of({"inputs": []}) is None
    assert reader_of({"inputs": [array("n", "int64")]}) is None
    assert reader_of({"inputs": [array("x", shape=("a", "b", "c"))]}) is None
