"""Bytes between a file and a bucket, by the signed addresses that the server gives.

Files stream; nothing is held in memory but one piece. What fails on the way is sent again, a broken download goes on
where it stopped, is verified by its sha256, and appears under its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4
from xml.sax.saxutils import escape

import httpx

from luml_app.client.connections import explained
from luml_app.schemas.artifacts import ArtifactCreated
from luml_app.schemas.buckets import MultipartUpload
from luml_app.schemas.errors import LumlError, Unavailable

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.client.objects import ArtifactHandle

PIECE = 2**20
TRIES = 5
FIRST_PAUSE = 0.4
"""Seconds after the first failed attempt; doubled each time."""
Progress = Callable[[int], None]
"""Called with the number of bytes that have gone over since the last call; below zero for bytes to be sent again."""

_PASSING = {408, 429, *range(500, 600)}


class TransferError(LumlError):
    """The bytes did not arrive."""

    code = "transfer"


def upload(client: Client, created: ArtifactCreated, path: Path, progress: Progress = lambda _: None) -> None:
    """Send the file of an artifact that has been announced. Raises TransferError when it does not arrive."""
    target = created.upload_details
    if target.multipart:
        _upload_parts(client, created, path, progress)
    else:
        kind = {"x-ms-blob-type": "BlockBlob"} if target.type == "azure" else {}
        _put(client.direct, target.url or "", path, 0, created.artifact.size, progress, kind)


def download(http: httpx.Client, url: str, target: Path, sha256: str, progress: Progress = lambda _: None) -> Path:
    """Fetch `url` into the file `target`, which appears only when all of it is there and its sha256 fits.

    Raises TransferError when the bytes do not arrive, or are others.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".luml-{uuid4().hex}.part"
    try:
        with draft.open("x+b") as file:
            _fetch(http, url, file, progress)
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise TransferError(f"{target.name}: the bytes have the sha256 {found}, not {sha256}; nothing is kept.")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def read_range(http: httpx.Client, url: str, offset: int, size: int) -> bytes:
    """`size` bytes of an object from `offset` on. Raises TransferError when the bucket does not give them."""
    headers = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
    answer = _repeated(lambda: http.get(url, headers=headers))
    # A bucket that does not know ranges sends the whole object.
    content = answer.content if _begins_at(answer, offset) else answer.content[offset : offset + size]
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


def _fetch(http: httpx.Client, url: str, file: BinaryIO, progress: Progress) -> None:
    """Read on from where a broken connection stopped; only attempts that bring nothing count as failed."""
    attempt = 0
    while True:
        start = file.seek(0, os.SEEK_END)
        try:
            _fetch_from(http, url, start, file, progress)
            return
        except (httpx.TransportError, Unavailable) as error:
            attempt = 1 if file.seek(0, os.SEEK_END) > start else attempt + 1
            _pause(error, attempt)


def _fetch_from(http: httpx.Client, url: str, start: int, file: BinaryIO, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with http.stream("GET", url, headers=headers, follow_redirects=True) as answer:
        if start and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is left to read; the sha256 tells whether that is all
        _check(answer)
        if start and not _begins_at(answer, start):
            file.seek(0)
            file.truncate()
            progress(-start)
        for piece in answer.iter_bytes():  # as they come: what waits to fill a larger piece is lost with the line
            file.write(piece)
            progress(len(piece))


def _begins_at(answer: httpx.Response, offset: int) -> bool:
    """Whether the answer is the range from `offset` on. Some buckets send one with status 200, and only the header
    tells it from the whole object.
    """
    told = re.match(r"bytes\s+(\d+)-", answer.headers.get("Content-Range", ""))
    return int(told.group(1)) == offset if told else answer.status_code == httpx.codes.PARTIAL_CONTENT


def _upload_parts(client: Client, created: ArtifactCreated, path: Path, progress: Progress) -> None:
    target, size, http = created.upload_details, created.artifact.size, client.direct
    upload_id = _initiate(http, target.url) if target.type == "s3" else None
    plan = client.uploads.multipart(
        bucket_id=target.bucket_secret_id, bucket_location=target.bucket_location, size=size, upload_id=upload_id
    )
    tags = [_put(http, part.url, path, part.start_byte, part.part_size, progress, {}) for part in plan.parts]
    _complete(http, plan, tags)


def _initiate(http: httpx.Client, url: str | None) -> str:
    answer = _repeated(lambda: http.post(url or ""))
    found = re.search(r"<UploadId>([^<]+)</UploadId>", answer.text)
    if found is None:
        raise TransferError("The bucket has not begun the upload: its answer holds no upload id.")
    return found.group(1)


def _complete(http: httpx.Client, plan: MultipartUpload, tags: list[str]) -> None:
    numbers = [part.part_number for part in plan.parts]
    if plan.type == "azure":
        blocks = "".join(f"<Latest>{b64encode(f'block-{n:08d}'.encode()).decode()}</Latest>" for n in numbers)
        _repeated(lambda: http.put(plan.complete_url, content=f"<BlockList>{blocks}</BlockList>"))
        return
    rows = (
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
        for number, tag in zip(numbers, tags, strict=True)
    )
    document = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>"
    try:
        answer = _repeated(lambda: http.post(plan.complete_url, content=document))
    except TransferError as error:
        # Completed already, when the answer to the first attempt was lost. The server looks into the bucket anyway.
        if "NoSuchUpload" in error.message:
            return
        raise
    if "<Error>" in answer.text:  # S3 answers 200 before it knows whether the parts fit together
        raise TransferError(f"The bucket could not put the parts together: {answer.text[:300]}")


def _put(
    http: httpx.Client, url: str, path: Path, start: int, size: int, progress: Progress, headers: dict[str, str]
) -> str:
    """Send `size` bytes of the file from `start` on; the ETag that the bucket gives them."""
    gone = 0

    def count(sent: int) -> None:
        nonlocal gone
        gone += sent
        progress(sent)

    def send() -> httpx.Response:
        count(-gone)
        with path.open("rb") as file:
            file.seek(start)
            content = _pieces(file, size, count)
            return http.put(url, content=content, headers={"Content-Length": str(size), **headers})

    return str(_repeated(send).headers.get("ETag", ""))


def _pieces(file: BinaryIO, size: int, progress: Progress) -> Iterator[bytes]:
    left = size
    while left > 0:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise TransferError(f"{file.name} has become shorter while it was sent; send it again.")
        left -= len(piece)
        yield piece
        progress(len(piece))


def _repeated(send: Callable[[], httpx.Response]) -> httpx.Response:
    for attempt in range(1, TRIES + 1):
        try:
            answer = send()
            _check(answer)
            return answer
        except (httpx.TransportError, Unavailable) as error:
            _pause(error, attempt)
    raise AssertionError("the last attempt either answers or raises")


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    said = f"The bucket refuses ({answer.status_code}): {answer.text[:300]}"
    raise (Unavailable if answer.status_code in _PASSING else TransferError)(said)


def _pause(error: httpx.TransportError | Unavailable, attempt: int) -> None:
    """Wait before the next attempt. Raises TransferError after the last."""
    if attempt >= TRIES:
        said = error.message if isinstance(error, Unavailable) else explained(error)
        raise TransferError(f"The transfer failed {TRIES} times, at last with: {said}") from error
    time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
