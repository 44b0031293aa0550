"""What all transfers between a file and a bucket share: patience, ranges, and how they fail.

`uploading.py` sends files, `downloading.py` fetches them, `ledgers.py` remembers what of them is done.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from luml_app.client.connections import explained
from luml_app.schemas.errors import LumlError, Unavailable

if TYPE_CHECKING:
    from luml_app.client.objects import ArtifactHandle

PIECE = 2**20
TRIES = 5
FIRST_PAUSE = 0.4
"""Seconds after the first failed attempt; doubled each time."""
Progress = Callable[[int], None]
"""Called with the number of bytes that have gone over since the last call; below zero for bytes to be sent again."""

_PASSING = {408, 429, *range(500, 600)}
EXPIRED = {401, 403}
"""What a bucket answers to a signed address that is not good any more."""


class TransferError(LumlError):
    """The bytes did not arrive."""

    code = "transfer"


class RefusedByBucket(TransferError):  # noqa: N818
    """The bucket does not take, or give, the bytes; `status` is its answer's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def read_range(http: httpx.Client, url: str, offset: int, size: int) -> bytes:
    """`size` bytes of an object from `offset` on. Raises TransferError when the bucket does not give them."""
    headers = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
    answer = repeated(lambda: http.get(url, headers=headers))
    # A bucket that does not know ranges sends the whole object.
    content = answer.content if begins_at(answer, offset) else answer.content[offset : offset + size]
    if len(content) != size:
        raise TransferError(f"The bucket gave {len(content)} bytes instead of {size}.")
    return content


def read_member(artifact: ArtifactHandle, name: str, start: int = 0, size: int | None = None) -> bytes:
    """Bytes of a member of an artifact's file: all of them, or `size` bytes from `start` on. Raises TransferError."""
    offset, whole = artifact.data.file_index[name]
    size = whole - start if size is None else size
    if not size:
        return b""
    client = artifact.orbit.client
    return read_range(client.direct, client.artifacts.download_url(*artifact.ids).url, offset + start, size)


def begins_at(answer: httpx.Response, offset: int) -> bool:
    """Whether the answer is the range from `offset` on. Some buckets send one with status 200, and only the header
    tells it from the whole object.
    """
    told = re.match(r"bytes\s+(\d+)-", answer.headers.get("Content-Range", ""))
    return int(told.group(1)) == offset if told else answer.status_code == httpx.codes.PARTIAL_CONTENT


def repeated(send: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer, after as many attempts as it takes. Raises TransferError."""
    for attempt in range(1, TRIES + 1):
        try:
            answer = send()
            check(answer)
            return answer
        except (httpx.TransportError, Unavailable) as error:
            pause(error, attempt)
    raise AssertionError("the last attempt either answers or raises")


def check(answer: httpx.Response) -> None:
    """Raise Unavailable where another attempt may help, RefusedByBucket where none does."""
    if answer.is_success:
        return
    answer.read()
    said = f"The bucket refuses ({answer.status_code}): {answer.text[:300]}"
    if answer.status_code in _PASSING:
        raise Unavailable(said)
    raise RefusedByBucket(said, answer.status_code)


def pause(error: httpx.TransportError | Unavailable, attempt: int) -> None:
    """Wait before the next attempt. Raises TransferError after the last."""
    if attempt >= TRIES:
        said = error.message if isinstance(error, Unavailable) else explained(error)
        raise TransferError(f"The transfer failed {TRIES} times, at last with: {said}") from error
    time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
