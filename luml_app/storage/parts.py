"""How an upload is cut: one PUT up to a limit, parts of a fixed size above it. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from luml_app.schemas.errors import Invalid

MIB = 1024**2
GIB = 1024**3

SINGLE_PUT_LIMIT = 524_288_000
"""The largest object, in bytes, that goes up in one PUT."""

MAX_OBJECT_SIZE = 5 * 1024 * GIB
"""The largest object, in bytes, that a bucket takes."""

MAX_PART_NUMBER = 10_000

_PART_SIZES = ((1 * GIB, 32 * MIB), (5 * GIB, 64 * MIB), (10 * GIB, 128 * MIB), (100 * GIB, 512 * MIB))
_LARGEST_PART = 1 * GIB


@dataclass(frozen=True, slots=True)
class Part:
    """Part `number` (from 1) of an upload: the `size` bytes from `start` to `end`, both counted."""

    number: int
    start: int
    end: int
    size: int


def is_multipart(size: int) -> bool:
    """Whether an object of `size` bytes goes up in parts."""
    return size > SINGLE_PUT_LIMIT


def part_size(size: int) -> int:
    """The size in bytes of every part but the last one of an object of `size` bytes."""
    return next((part for limit, part in _PART_SIZES if size <= limit), _LARGEST_PART)


def plan_parts(size: int) -> list[Part]:
    """The parts of an object of `size` bytes, without gap or overlap. Raises `Invalid` below 1 byte and above 5 TiB."""
    if not 1 <= size <= MAX_OBJECT_SIZE:
        raise Invalid.field("size", f"must be between 1 and {MAX_OBJECT_SIZE} bytes for an upload in parts")
    step = part_size(size)
    return [_part(number, start, min(step, size - start)) for number, start in enumerate(range(0, size, step), start=1)]


def _part(number: int, start: int, size: int) -> Part:
    return Part(number=number, start=start, end=start + size - 1, size=size)
