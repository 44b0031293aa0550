"""Ranges: the parser against Python's slices, and the same through the server."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from luml_app.storage.errors import InvalidRange
from luml_app.storage.local import LocalStorage
from luml_app.storage.ranges import parse_range

from .conftest import LIFETIME

DATA = bytes(range(256)) * 5

bounds = st.one_of(st.none(), st.integers(0, 2000), st.just(10**40))


def expected(first: int | None, last: int | None, data: bytes) -> bytes | None:
    """What S3 sends: None for the whole object."""
    if first is None:
        return None if last is None else data[-last:] if last else b""
    if last is not None and last < first:
        return None
    return data[first:] if last is None else data[first : last + 1]


@given(bounds, bounds, st.integers(0, 1280))
@example(0, 0, 1)
@example(None, 0, 10)
@example(0, None, 0)
@example(None, 5, 0)
def test_a_range_is_a_slice(first: int | None, last: int | None, size: int) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    wanted = expected(first, last, DATA[:size])
    try:
        found = parse_range(header, size)
    except InvalidRange as error:
        assert wanted == b""
        assert error.size == size
        return
    if found is None:
        assert wanted is None
    else:
        assert DATA[found.start : found.start + found.length] == wanted
        assert found.length > 0
        assert found.start + found.length <= size


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2,4-5",
        "items=0-1",
        "bytes=٣-٤",
        "bytes=--1",
    ],
)
def test_what_s3_ignores(header: str | None) -> None:
    assert parse_range(header, 100) is None


@given(st.text(max_size=30))
def test_any_header_gives_a_range_or_none_or_416(header: str) -> None:
    try:
        found = parse_range(header, 10)
    except InvalidRange:
        return
    assert found is None or 0 < found.length <= 10


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=bounds, last=bounds)
def test_the_server_sends_the_slice(
    http: httpx.Client, bucket: LocalStorage, first: int | None, last: int | None
) -> None:
    key = "ranges/data"
    if bucket.stat(key) is None:
        http.put(bucket.upload_url(key, LIFETIME), content=DATA).raise_for_status()
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = http.get(bucket.download_url(key, LIFETIME), headers={"Range": header})
    wanted = expected(first, last, DATA)
    if wanted is None:
        assert (answer.status_code, answer.content) == (200, DATA)
    elif wanted == b"":
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
        assert b"<Code>InvalidRange</Code>" in answer.content
    else:
        assert (answer.status_code, answer.content) == (206, wanted)


def test_an_empty_object_has_no_range(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    http.put(bucket.upload_url(key, LIFETIME), content=b"").raise_for_status()
    url = bucket.download_url(key, LIFETIME)
    assert http.get(url, headers={"Range": "bytes=0-10"}).status_code == 416
    assert http.get(url, headers={"Range": "bytes=-10"}).status_code == 416
    assert http.get(url).status_code == 200


def test_head_of_a_range(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    http.put(bucket.upload_url(key, LIFETIME), content=DATA).raise_for_status()
    answer = http.head(bucket.download_url(key, LIFETIME), headers={"Range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.headers["Content-Length"] == "10"
    assert answer.content == b""


def test_a_resumed_download_never_mixes_two_objects(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    etag = http.put(bucket.upload_url(key, LIFETIME), content=DATA).headers["ETag"]
    url = bucket.download_url(key, LIFETIME)
    assert http.get(url, headers={"Range": "bytes=10-", "If-Range": etag}).status_code == 206
    assert http.get(url, headers={"Range": "bytes=10-", "If-Match": etag}).status_code == 206
    http.put(bucket.upload_url(key, LIFETIME), content=b"another object").raise_for_status()
    answer = http.get(url, headers={"Range": "bytes=10-", "If-Range": etag})
    assert (answer.status_code, answer.content) == (200, b"another object")
    assert http.get(url, headers={"Range": "bytes=10-", "If-Match": etag}).status_code == 412


def test_what_the_client_has_is_not_sent_again(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    etag = http.put(bucket.upload_url(key, LIFETIME), content=DATA).headers["ETag"]
    url = bucket.download_url(key, LIFETIME)
    answer = http.get(url, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (answer.status_code, answer.content) == (304, b"")
    assert http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
