from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luml_app.schemas.errors import Invalid
from luml_app.storage.parts import GIB, MAX_OBJECT_SIZE, MAX_PART_NUMBER, MIB, is_multipart, part_size, plan_parts


def test_the_limit_of_a_single_put() -> None:
    assert not is_multipart(524_288_000)
    assert is_multipart(524_288_001)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1 * GIB, 32 * MIB),
        (1 * GIB + 1, 64 * MIB),
        (5 * GIB, 64 * MIB),
        (5 * GIB + 1, 128 * MIB),
        (10 * GIB, 128 * MIB),
        (10 * GIB + 1, 512 * MIB),
        (100 * GIB, 512 * MIB),
        (100 * GIB + 1, 1 * GIB),
        (MAX_OBJECT_SIZE, 1 * GIB),
    ],
)
def test_part_sizes_of_the_contract(size: int, expected: int) -> None:
    assert part_size(size) == expected
    assert plan_parts(size)[0].size == expected


@given(st.integers(1, MAX_OBJECT_SIZE))
def test_parts_cover_every_byte_once(size: int) -> None:
    parts = plan_parts(size)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MAX_PART_NUMBER
    assert parts[0].start == 0
    assert parts[-1].end == size - 1
    assert all(later.start == earlier.end + 1 for earlier, later in itertools.pairwise(parts))
    assert all(part.size == part.end - part.start + 1 > 0 for part in parts)


@pytest.mark.parametrize("size", [-1, 0, MAX_OBJECT_SIZE + 1])
def test_sizes_that_cannot_be_cut(size: int) -> None:
    with pytest.raises(Invalid, match="size"):
        plan_parts(size)
