"""The one door to buckets. S3, Azure and the built-in store stand behind it, under one conformance suite.

Clients move bytes themselves, with addresses that are signed here; the server only looks, reads pieces and deletes.
A multipart upload comes in two dialects, told apart by `kind`:

``s3``     POST `initiate_url` → upload id from the XML answer → PUT each of `part_urls`, keep the ETags →
           POST `complete_url` with the list of parts.
``azure``  no initiation (`initiate_url` is None, `upload_id` is None everywhere) → PUT each of `part_urls`, which name
           the block ids ``base64("block-%08d")`` → PUT `complete_url` with the block list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

from luml_app.storage.parts import Part

StorageKind = Literal["s3", "azure"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a bucket knows about one object.

    `size` in bytes; `sha256` in hex, None where the bucket has not computed one; `etag` without quotes;
    `modified` in seconds since the epoch.
    """

    size: int
    sha256: str | None
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Reach:
    """How this server may get to a bucket: `public_only`, not by a private address; `verify`, with a look at its
    certificate; a `near` one is on its own disk.
    """

    near: bool = False
    public_only: bool = False
    verify: bool = True


class Storage(Protocol):
    """One bucket. Every method is synchronous; `expires` is a lifetime in seconds from now.

    Keys are `/`-separated names as `luml_app.storage.keys.check_key` admits them. All methods raise `InvalidArgument`
    for another key and `Unavailable` when the bucket does not answer.
    """

    @property
    def kind(self) -> StorageKind:
        """The dialect that clients have to speak to the signed addresses."""

    @property
    def reach(self) -> Reach:
        """How this server may get there."""

    def upload_url(self, key: str, expires: int) -> str:
        """An address that takes the whole object in one PUT."""

    def download_url(self, key: str, expires: int, filename: str | None = None) -> str:
        """An address for GET (with ranges) and HEAD; browsers save the object as `filename`."""

    def delete_url(self, key: str, expires: int) -> str:
        """An address that deletes the object by DELETE."""

    def initiate_url(self, key: str, expires: int) -> str | None:
        """An address that begins a multipart upload by POST, or None where nothing has to be begun."""

    def part_urls(self, key: str, upload_id: str | None, parts: Sequence[Part], expires: int) -> list[str]:
        """One address per part, in the order of `parts`, that takes its bytes by PUT."""

    def complete_url(self, key: str, upload_id: str | None, expires: int) -> str:
        """An address that makes the object out of its parts."""

    def abort_multipart(self, key: str, upload_id: str | None) -> None:
        """Forget an unfinished multipart upload and its parts; no error when there is none."""

    def stat(self, key: str) -> ObjectInfo | None:
        """Size and digests of an object, or None when there is no such object."""

    def read(self, key: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on, fewer at the end of the object. Raises `NoSuchKey`."""

    def open_stream(self, key: str) -> BinaryIO:
        """The object as a seekable binary file, to be closed by the caller. Raises `NoSuchKey`."""

    def delete(self, key: str) -> None:
        """Delete an object; no error when there is none."""
