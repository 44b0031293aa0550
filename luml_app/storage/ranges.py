"""The `Range` header as S3 reads it: one range or none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from luml_app.storage.errors import InvalidRange

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,100})\s*-\s*([0-9]{0,100})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from `start` on, out of an object of `size` bytes."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of the `Content-Range` header."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The part of an object of `size` bytes that `header` asks for (``bytes=a-b``, ``a-`` or ``-n``).

    None means the whole object: there is no header, or one that S3 ignores (several ranges, another unit, nonsense).
    Raises `InvalidRange` when no byte of the object is in the range.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size) if last else None
    return _span(int(first), int(last) if last else None, size)


def _suffix(count: int, size: int) -> ByteRange:
    if count == 0 or size == 0:
        raise InvalidRange(size)
    length = min(count, size)
    return ByteRange(size - length, length, size)


def _span(first: int, last: int | None, size: int) -> ByteRange | None:
    if last is not None and last < first:
        return None
    if first >= size:
        raise InvalidRange(size)
    end = size - 1 if last is None else min(last, size - 1)
    return ByteRange(first, end - first + 1, size)
