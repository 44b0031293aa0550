"""What can go wrong with bytes in a bucket.

The names are those of S3's error codes, because a client of the built-in store meets them as such:
the name of the class is the `<Code>` of the XML answer. `luml_app.web.store_answers` adds the HTTP status.
"""

from __future__ import annotations

from luml_app.schemas.errors import BadRequest, Conflict, Forbidden, NotFound, ServerFault, TooLarge, Unavailable


class AccessDenied(Forbidden):
    """The address is not signed, or its signature does not fit."""


class NoSuchKey(NotFound):
    """There is no object of this name in the bucket."""


class NoSuchUpload(NotFound):
    """There is no such multipart upload: it has been completed, aborted or swept; start a new one."""


class InvalidArgument(BadRequest):
    """A part of the address may not have this value."""


class MalformedXML(BadRequest):
    """The body is not a CompleteMultipartUpload document with at least one part."""


class InvalidPart(BadRequest):
    """A listed part has not been uploaded, or its ETag is another one; upload that part again."""


class InvalidPartOrder(BadRequest):
    """The parts must be listed in ascending order of their numbers, each once."""


class InvalidDigest(BadRequest):
    """Content-MD5 must be the base64 form of a 16-byte MD5 digest."""


class BadDigest(BadRequest):
    """The bytes that arrived do not have the Content-MD5 that was announced; send them again."""


class MissingContentLength(BadRequest):
    """An upload must announce its length in the Content-Length header."""


class EntityTooLarge(TooLarge):
    """The object is larger than the store takes."""


class InvalidRange(BadRequest):
    """The range begins behind the end of the object."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The range begins behind the end of the object, which has {size} bytes.")
        self.size = size


class PreconditionFailed(Conflict):
    """The object is no longer the one with the ETag that was asked for."""


class InvalidObjectState(Conflict):
    """The artifact of this object is not waiting for its bytes any more, so they cannot be replaced; add a new one."""


class InsufficientStorage(Unavailable):
    """The disk of the store is full; free some space or ask the operator to."""


class CorruptObject(ServerFault):
    """The stored object is damaged: its closing record is missing or does not fit its length."""


class BucketRefused(Conflict):
    """The bucket refuses the stored credentials, or cannot be used with the stored address."""
