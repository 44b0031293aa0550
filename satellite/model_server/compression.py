"""Compressed bodies, inflated no further than the limit of plain ones."""

from __future__ import annotations

import zlib

from .exchange import Refusal, Request

# Finds out by itself whether it is gzip or zlib (which HTTP calls deflate).
EITHER = zlib.MAX_WBITS | 32


def plain_body(request: Request) -> bytes:
    """The body as it was before it was compressed; raises Refusal."""
    encoding = request.header(b"content-encoding").lower()
    if encoding in {"", "identity"}:
        return request.body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise Refusal(415, f"The body is compressed as {encoding!r}; send it plain, or as gzip or deflate")
    try:
        return inflated(request.body, request.limit)
    except zlib.error as error:
        raise Refusal(400, f"The body is not {encoding}: {error}") from error


def inflated(body: bytes, limit: int) -> bytes:
    """All members of a compressed body, one after the other; raises Refusal as soon as they are more than `limit`."""
    parts: list[bytes] = []
    room = limit
    while body:
        one = zlib.decompressobj(EITHER)
        parts.append(one.decompress(body, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise Refusal(413, f"The body is larger than {limit} bytes when it is not compressed")
        if not one.eof:
            raise Refusal(400, "The compressed body ends too early")
        body = one.unused_data
    return b"".join(parts)
