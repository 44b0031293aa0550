"""Sends the file of an artifact to a bucket, by the signed addresses that the server gives.

Files stream; nothing is held in memory but a piece for each part that is under way. What fails is sent again, part by
part; what a broken upload has brought over need not be sent again by whoever begins anew.
"""

from __future__ import annotations

import os
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID
from xml.sax.saxutils import escape

import httpx
import msgspec

from luml_app.client import ledgers
from luml_app.client.ledgers import Ledger, in_parallel
from luml_app.client.progress import bytes_bar
from luml_app.client.settings import cache_folder
from luml_app.client.transfers import EXPIRED, PIECE, Progress, RefusedByBucket, TransferError, repeated
from luml_app.schemas.artifacts import ArtifactCreated
from luml_app.schemas.buckets import MultipartUpload, Part, Upload
from luml_app.schemas.errors import LumlError, Unavailable

if TYPE_CHECKING:
    from luml_app.client.http import Client

GoOn = Callable[[], None]


class FilePart(msgspec.Struct, frozen=True):
    """A part of a file: `size` bytes from `start` on."""

    number: int
    start: int
    size: int


@contextmanager
def remembered(client: Client, *facts: Any) -> Iterator[Ledger]:
    """The ledger of the upload that is known by these facts, as an earlier attempt has left it; removed at its end.

    It stays where the block fails. Whoever uploads the same in the same moment has one of its own, in memory.
    """
    folder = cache_folder() / "uploads"
    path = folder / ledgers.key_of(client.address, *facts)
    with ledgers.sole_user(path.with_suffix(".lock")) as alone:
        ledgers.forget_old(folder)
        ledger = Ledger.read(path if alone else None)
        yield ledger
        ledger.end()


def announced(client: Client, place: tuple[Any, Any, Any], ledger: Ledger, **facts: Any) -> ArtifactCreated:
    """The artifact whose upload the ledger knows of, if it still waits for its bytes; else a new one of these facts."""
    if known := ledger.facts.get("artifact"):
        with suppress(LumlError):
            return client.uploads.retry(*place, known)
    created = client.artifacts.create(*place, **facts)
    ledger.begin(artifact=str(created.artifact.id))
    return created


def already_there(client: Client, place: tuple[Any, Any, Any], ledger: Ledger) -> UUID | None:
    """The artifact of an upload that has ended well although nobody could be told."""
    with suppress(LumlError):
        if known := ledger.facts.get("artifact"):
            artifact = client.artifacts.get(*place, known)
            return artifact.id if artifact.status == "uploaded" else None
    return None


def store(client: Client, place: tuple[Any, Any, Any], path: Path, before: os.stat_result, **facts: Any) -> UUID:
    """Announce an artifact in a collection (`place`: organization, orbit, collection) and send its file; its id.

    `before` is how the file was when its facts were read. What an earlier attempt with the same facts has left is gone
    on with. Raises TransferError when the bytes do not arrive, and what the server says of them.
    """
    with remembered(client, *place, facts) as ledger:
        if known := already_there(client, place, ledger):
            return known
        created = announced(client, place, ledger, **facts)
        ids = (*place, created.artifact.id)
        try:
            with bytes_bar(f"Uploading {created.artifact.name}", created.artifact.size) as progress:
                upload(client, created, path, progress, ledger)
            if (path.stat().st_mtime_ns, path.stat().st_size) != (before.st_mtime_ns, before.st_size):
                raise TransferError(f"{path} has changed while it was sent; send it again.")
        except BaseException:
            with suppress(LumlError):  # what went wrong with the bytes is the news, not that nobody can be told
                client.artifacts.update(*ids, status="upload_failed")
            raise
        confirm(client, ids, ledger)
        return created.artifact.id


def confirm(client: Client, ids: tuple[Any, Any, Any, Any], ledger: Ledger) -> None:
    """Report an upload. Unlike other writes, it may be said twice, so a lost answer is no loss."""
    try:
        try:
            client.artifacts.update(*ids, status="uploaded")
        except Unavailable:
            client.artifacts.update(*ids, status="uploaded")
    except Unavailable:
        raise
    except LumlError:
        ledger.end()  # the bytes are not what they should be: the next attempt begins anew
        ledger.path = None
        raise


def upload(
    client: Client,
    created: ArtifactCreated,
    path: Path,
    progress: Progress = lambda _: None,
    ledger: Ledger | None = None,
) -> None:
    """Send the file of an artifact that has been announced. Raises TransferError when it does not arrive.

    Parts that the `ledger` knows to be there are not sent again.
    """
    target = created.upload_details
    if target.multipart:
        Parts(client, target, created.artifact.size, path, locked(progress), ledger or Ledger(None)).send()
    else:
        kind = {"x-ms-blob-type": "BlockBlob"} if target.type == "azure" else {}
        whole = FilePart(1, 0, created.artifact.size)
        put(client.direct, target.url or "", path, whole, progress, lambda: None, kind)


class Parts:
    """An upload in parts, some of which go at the same time."""

    def __init__(
        self, client: Client, target: Upload, size: int, path: Path, progress: Progress, ledger: Ledger
    ) -> None:
        self.client, self.target, self.size, self.path = client, target, size, path
        self.progress, self.ledger = progress, ledger
        self.lock = threading.Lock()

    def send(self) -> None:
        """All of them; from the beginning where the bucket has forgotten an earlier attempt."""
        try:
            self._send()
        except RefusedByBucket as error:
            if "NoSuchUpload" not in error.message:
                raise
            done = sum(part.part_size for part in self.plan.parts if part.part_number in self.ledger.parts)
            self.progress(-done)
            self.ledger.begin(artifact=self.ledger.facts.get("artifact", ""))
            self._send()

    def _send(self) -> None:
        self.plan = self._planned()
        parts = [FilePart(one.part_number, one.start_byte, one.part_size) for one in self.plan.parts]
        self.progress(sum(part.size for part in parts if part.number in self.ledger.parts))
        in_parallel(parts, self._put, self.ledger)
        complete(self.client.direct, self.plan, self.ledger.parts)

    def _planned(self) -> MultipartUpload:
        target = self.target
        if target.type == "s3" and "upload_id" not in self.ledger.facts:
            self.ledger.note(upload_id=initiate(self.client.direct, target.url))
        return self.client.uploads.multipart(
            bucket_id=target.bucket_secret_id, bucket_location=target.bucket_location, size=self.size,
            upload_id=self.ledger.facts.get("upload_id"),
        )  # fmt: skip

    def _put(self, part: FilePart, go_on: GoOn) -> str:
        """One part; an address that has run out meanwhile is replaced, once."""
        plan = self.plan
        try:
            return put(self.client.direct, address_in(plan, part), self.path, part, self.progress, go_on, {})
        except RefusedByBucket as error:
            if error.status not in EXPIRED:
                raise
        with self.lock:
            if self.plan is plan:
                self.plan = self._planned()
        return put(self.client.direct, address_in(self.plan, part), self.path, part, self.progress, go_on, {})


def address_in(plan: MultipartUpload, part: FilePart) -> str:
    """Where a part goes."""
    found: Part = next(one for one in plan.parts if one.part_number == part.number)
    return found.url


def initiate(http: httpx.Client, url: str | None) -> str:
    """Begin a multipart upload of S3; its id."""
    answer = repeated(lambda: http.post(url or ""))
    found = re.search(r"<UploadId>([^<]+)</UploadId>", answer.text)
    if found is None:
        raise TransferError("The bucket has not begun the upload: its answer holds no upload id.")
    return found.group(1)


def complete(http: httpx.Client, plan: MultipartUpload, tags: dict[int, str]) -> None:
    """Have the bucket put the parts together."""
    numbers = [part.part_number for part in plan.parts]
    if plan.type == "azure":
        blocks = "".join(f"<Latest>{b64encode(f'block-{n:08d}'.encode()).decode()}</Latest>" for n in numbers)
        repeated(lambda: http.put(plan.complete_url, content=f"<BlockList>{blocks}</BlockList>"))
        return
    rows = (f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tags[number])}</ETag></Part>" for number in numbers)
    document = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>"
    try:
        answer = repeated(lambda: http.post(plan.complete_url, content=document))
    except TransferError as error:
        # Completed already, when the answer to the first attempt was lost. The server looks into the bucket anyway.
        if "NoSuchUpload" in error.message:
            return
        raise
    if "<Error>" in answer.text:  # S3 answers 200 before it knows whether the parts fit together
        raise TransferError(f"The bucket could not put the parts together: {answer.text[:300]}")


def put(
    http: httpx.Client, url: str, path: Path, part: FilePart, progress: Progress, go_on: GoOn, headers: dict[str, str]
) -> str:
    """Send a part of the file; the ETag that the bucket gives it."""
    gone = 0

    def count(sent: int) -> None:
        nonlocal gone
        gone += sent
        progress(sent)

    def send() -> httpx.Response:
        count(-gone)
        with path.open("rb") as file:
            file.seek(part.start)
            content = pieces(file, part.size, count, go_on)
            return http.put(url, content=content, headers={"Content-Length": str(part.size), **headers})

    try:
        return str(repeated(send).headers.get("ETag", ""))
    except BaseException:
        count(-gone)
        raise


def pieces(file: BinaryIO, size: int, progress: Progress, go_on: GoOn) -> Iterator[bytes]:
    """The next `size` bytes of a file, piece by piece."""
    left = size
    while left > 0:
        go_on()
        piece = file.read(min(PIECE, left))
        if not piece:
            raise TransferError(f"{file.name} has become shorter while it was sent; send it again.")
        left -= len(piece)
        yield piece
        progress(len(piece))


def locked(progress: Progress) -> Progress:
    """The same for several threads."""
    lock = threading.Lock()

    def count(sent: int) -> None:
        with lock:
            progress(sent)

    return count
