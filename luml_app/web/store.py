"""The built-in store over HTTP, in the shape of S3: ``/store/{bucket}/{key}`` with signed, expiring addresses.

=======================================  ===========================================================
PUT                                      store the body as the object (its ETag is the body's MD5)
PUT ``?partNumber=&uploadId=``           store the body as one part of a multipart upload
GET, HEAD                                the object, or one range of it (206, 416)
DELETE                                   delete the object
POST ``?uploads``                        begin a multipart upload
POST ``?uploadId=``                      complete it, with the list of its parts
DELETE ``?uploadId=``                    abort it
=======================================  ===========================================================

Bodies stream between socket and disk in pieces of a megabyte; the disk is touched in threads only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.routing import URLSpec
from tornado.web import stream_request_body

from luml_app.storage import errors, s3_xml
from luml_app.storage.intake import CHUNK, Intake, Patience, in_background, in_thread
from luml_app.storage.interface import ObjectInfo
from luml_app.storage.local import Guard, LocalStorage, store_path, unguarded
from luml_app.storage.parts import MAX_OBJECT_SIZE
from luml_app.storage.ranges import ByteRange, parse_range
from luml_app.storage.sealed import ObjectFile, ObjectWriter, Record
from luml_app.storage.signing import UrlSigner
from luml_app.web.store_answers import StoreAnswers, error_document

_MAX_PART_LIST = 4 * 1024 * 1024
"""Bytes of a CompleteMultipartUpload document; 10,000 parts need about a third of it."""

_MAX_DROPPED = 64 * 1024 * 1024
"""So much of a refused body is read and dropped before the answer is sent all the same. A client that still writes
when the connection closes may never see the answer; one that never stops writing must not keep the connection."""

_ALLOWED_METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]+")


@dataclass(frozen=True)
class Store:
    """What the handler needs: where the buckets are, who signs, and the threads in which the disk is touched. `guard`
    says of an object whether it may be written.

    Assembling the parts of a large upload takes minutes, hence its own threads: no other request shall wait for it.
    `patience`: seconds after which a connection is closed on which no byte has moved; `sign_of_life`: seconds between
    two signs that a completing client gets while its parts are assembled.
    """

    root: Path
    signer: UrlSigner
    max_object_size: int = MAX_OBJECT_SIZE
    guard: Guard = unguarded
    patience: float = 120.0
    sign_of_life: float = 10.0
    transfers: Executor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="store-transfer"))
    assembly: Executor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="store-assembly"))

    def bucket(self, name: str) -> LocalStorage:
        """The bucket of this name."""
        return LocalStorage(self.root, name, "", self.signer, self.max_object_size, self.guard)


def routes(root: Path, signer: UrlSigner, max_object_size: int = MAX_OBJECT_SIZE) -> list[URLSpec]:
    """The routes of the store whose buckets lie below the folder `root`; sizes in bytes."""
    return store_routes(Store(root, signer, max_object_size))


def store_routes(store: Store) -> list[URLSpec]:
    """The routes of `store`."""
    return [URLSpec(r"/store/([^/]+)/(.+)", StoreHandler, {"store": store}, name="store")]


@stream_request_body
class StoreHandler(StoreAnswers):
    """One request to the store: admitted and given an operation in `prepare`, carried out when its body is there."""

    def initialize(self, store: Store) -> None:
        """Take what `store_routes` says."""
        self._store = store
        self._refusal: Exception = errors.InvalidArgument("The address does not say what to do with the object.")
        self._operation: Callable[[], Awaitable[None]] = self._refuse
        self._intake: Intake | None = None
        self._document: bytearray | None = None
        self._dropped = 0
        self._connection = cast(HTTP1Connection, self.request.connection)
        self._patience = Patience(store.patience, self._connection.close)

    # From the first line of the request to the end of its body

    async def prepare(self) -> None:
        """Check the address before the first byte of the body is read, and open what the body goes into."""
        if self.request.method == "OPTIONS":
            return
        self._connection.set_max_body_size(max(self._announced, _MAX_DROPPED))
        try:
            await self._admit()
        except Exception as error:  # Whatever it is, most clients read no answer before they have sent their body.
            self._refusal, self._operation = error, self._refuse
            if "Expect" in self.request.headers:
                self._refuse_now()
        if self._has_body and not self._finished:
            self._patience.begin()

    async def data_received(self, chunk: bytes) -> None:
        """Pass on a piece of the body; the connection reads no further before it has been taken."""
        self._patience.renew()
        if self._intake is not None:
            await self._take_in(self._intake, chunk)
        elif self._document is not None:
            self._document += chunk
        else:
            self._drop(chunk)

    async def serve(self, *_: str) -> None:
        """Carry out what `prepare` has chosen."""
        self._patience.end()
        await self._operation()

    get = head = put = post = patch = delete = serve

    def options(self, *_: str) -> None:
        """Answer a browser's preflight."""
        self.set_status(204)
        self.set_header("Access-Control-Allow-Methods", _ALLOWED_METHODS)
        self.set_header("Access-Control-Max-Age", "3600")
        asked = self.request.headers.get("Access-Control-Request-Headers", "")
        if _HEADER_NAMES.fullmatch(asked):
            self.set_header("Access-Control-Allow-Headers", asked)

    def on_connection_close(self) -> None:
        """The client is gone: so are the bytes of an upload that has not been read to its end."""
        super().on_connection_close()
        self._clean_up()

    def on_finish(self) -> None:
        """Leave nothing behind."""
        self._clean_up()

    async def _admit(self) -> None:
        self._bucket_name, self._key = self.path_args
        method, path = self.request.method or "", store_path(self._bucket_name, self._key)
        self._parameters = self._store.signer.verify(method, path, self.request.query)
        self._bucket = self._store.bucket(self._bucket_name)
        match method:
            case "PUT":
                await self._admit_upload()
            case "POST":
                self._admit_post()
            case "GET" | "HEAD":
                self._operation = self._send_object
            case "DELETE":
                self._operation = self._abort if "uploadId" in self._parameters else self._delete

    async def _admit_upload(self) -> None:
        if "Content-Length" not in self.request.headers:
            raise errors.MissingContentLength
        if self._announced > self._store.max_object_size:
            raise errors.EntityTooLarge(f"The store takes at most {self._store.max_object_size} bytes per object.")
        self._content_md5 = _decoded_md5(self.request.headers.get("Content-MD5"))
        writer = await in_thread(self._store.transfers, self._open_writer)
        self._intake = Intake(writer, self._store.transfers)
        self._operation = self._commit

    def _open_writer(self) -> ObjectWriter:
        if self._parameters.keys().isdisjoint({"partNumber", "uploadId"}):
            return self._bucket.writer(self._key)
        number = self._parameters.get("partNumber", "")
        if not re.fullmatch("[0-9]{1,5}", number):
            raise errors.InvalidArgument("partNumber: must be a number from 1 to 10000, next to an uploadId.")
        return self._bucket.part_writer(self._key, self._parameters.get("uploadId", ""), int(number))

    def _admit_post(self) -> None:
        if "uploads" in self._parameters:
            self._operation = self._initiate
        elif "uploadId" in self._parameters:
            if self._announced > _MAX_PART_LIST:
                raise errors.EntityTooLarge(f"The list of parts may have at most {_MAX_PART_LIST} bytes.")
            self._connection.set_max_body_size(_MAX_PART_LIST)
            self._document = bytearray()
            self._operation = self._complete

    async def _take_in(self, intake: Intake, chunk: bytes) -> None:
        try:
            await intake.take(chunk)
        except Exception as error:  # A full disk, say. Raised from here, it would close the connection unanswered.
            self._intake = None
            self._refusal, self._operation = error, self._refuse
            await intake.abandon()

    def _drop(self, chunk: bytes) -> None:
        self._dropped += len(chunk)
        if self._dropped > _MAX_DROPPED and not self._finished:
            self._refuse_now()

    def _refuse_now(self) -> None:
        """Answer without waiting for the rest of the body; the connection cannot be used any more."""
        error = self._refusal
        self.log_exception(type(error), error, error.__traceback__)
        self.explain(error)
        self.set_header("Connection", "close")
        self.finish()

    def _clean_up(self) -> None:
        self._patience.end()
        if self._intake is not None:
            in_background(self._intake.abandon())
            self._intake = None

    @property
    def _announced(self) -> int:
        length = self.request.headers.get("Content-Length", "")
        return int(length) if re.fullmatch("[0-9]{1,18}", length) else 0

    @property
    def _has_body(self) -> bool:
        return self._announced > 0 or "Transfer-Encoding" in self.request.headers

    # The operations

    async def _refuse(self) -> None:
        raise self._refusal

    async def _commit(self) -> None:
        intake, self._intake = cast(Intake, self._intake), None
        info = await intake.commit(self._content_md5)
        self.set_header("ETag", f'"{info.etag}"')
        self.set_header("X-Luml-Sha256", info.sha256 or "")
        self.clear_header("Content-Type")

    async def _delete(self) -> None:
        await in_thread(self._store.transfers, self._bucket.delete, self._key)
        self.set_status(204)

    async def _abort(self) -> None:
        upload_id = self._parameters["uploadId"]
        await in_thread(self._store.transfers, self._bucket.abort_multipart, self._key, upload_id)
        self.set_status(204)

    async def _initiate(self) -> None:
        upload_id = await in_thread(self._store.transfers, self._bucket.initiate_multipart, self._key)
        self.write_xml(s3_xml.DECLARATION + s3_xml.initiate_result(self._bucket_name, self._key, upload_id))

    async def _complete(self) -> None:
        """Like S3, send white space while the parts are assembled, lest a proxy takes the connection for dead.

        A fault that is found after the first such sign is an `<Error>` in an answer that has begun with status 200.
        """
        work = asyncio.ensure_future(in_thread(self._store.assembly, self._assemble))
        begun = await self._signs_of_life_until(work)
        try:
            info = await work
        except Exception as error:
            if not begun:
                raise
            self.log_exception(type(error), error, error.__traceback__)
            self.write_xml(error_document(error, self.request.path))
        else:
            answer = s3_xml.complete_result(self.request.path, self._bucket_name, self._key, info.etag)
            self.write_xml(answer if begun else s3_xml.DECLARATION + answer)

    async def _signs_of_life_until(self, work: asyncio.Future[ObjectInfo]) -> bool:
        begun = False
        while not (await asyncio.wait({work}, timeout=self._store.sign_of_life))[0]:
            self.write_xml(" " if begun else s3_xml.DECLARATION)
            begun = True
            with suppress(StreamClosedError):  # The work goes on without the client, who may ask again.
                await self.flush()
        return begun

    def _assemble(self) -> ObjectInfo:
        parts = s3_xml.parse_complete(bytes(self._document or b""))
        return self._bucket.complete_multipart(self._key, self._parameters["uploadId"], parts)

    async def _send_object(self) -> None:
        file = await in_thread(self._store.transfers, self._bucket.open_object, self._key)
        with file:
            self._describe(file.record)
            if self._is_current(file.record.etag):
                self.set_status(304)
                return
            piece = self._wanted(file.record)
            self.set_header("Content-Length", piece.length)
            if self.request.method == "GET":
                await self._send(file, piece)

    def _describe(self, record: Record) -> None:
        self.set_header("ETag", f'"{record.etag}"')
        self.set_header("Last-Modified", formatdate(record.modified, usegmt=True))
        self.set_header("X-Luml-Sha256", record.sha256)
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", self._parameters.get("response-content-disposition", "attachment"))

    def _is_current(self, etag: str) -> bool:
        """Whether the client has this very object already. Raises `PreconditionFailed` if it insists on another one."""
        headers = self.request.headers
        if "If-Match" in headers and not _names(headers["If-Match"], etag):
            raise errors.PreconditionFailed
        return "If-None-Match" in headers and _names(headers["If-None-Match"], etag)

    def _wanted(self, record: Record) -> ByteRange:
        """The range that is asked for, or all. `If-Range`: a download that is resumed must not mix two objects."""
        headers = self.request.headers
        asked = headers.get("Range") if _names(headers.get("If-Range", "*"), record.etag) else None
        piece = parse_range(asked, record.size)
        if piece is None:
            return ByteRange(0, record.size, record.size)
        self.set_status(206)
        self.set_header("Content-Range", piece.content_range)
        return piece

    async def _send(self, file: ObjectFile, piece: ByteRange) -> None:
        end = piece.start + piece.length
        for start in range(piece.start, end, CHUNK):
            self.write(await in_thread(self._store.transfers, file.read_at, start, min(CHUNK, end - start)))
            try:
                await asyncio.wait_for(self.flush(), self._store.patience)
            except (StreamClosedError, TimeoutError):
                self._connection.close()
                return


def _decoded_md5(header: str | None) -> bytes | None:
    if header is None:
        return None
    try:
        digest = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        raise errors.InvalidDigest from None
    if len(digest) != 16:
        raise errors.InvalidDigest
    return digest


def _names(header: str, etag: str) -> bool:
    """Whether a list of ETags, as in `If-Match`, holds `etag`."""
    return any(item.strip().removeprefix("W/").strip('"') in {etag, "*"} for item in header.split(","))
