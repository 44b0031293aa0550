"""Buckets that speak S3, wherever they are: AWS, MinIO, Ceph, R2 and their like, through s3fs and its botocore client.

Clients get addresses with a version 4 signature. Credentials come from the bucket's row and from nowhere else: without
any, requests are unsigned, as public buckets want them; what the environment of the server holds is the operator's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import s3fs
from aiohttp import ClientError as BrokenAnswer
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError
from botocore.exceptions import ConnectionError as NoConnection

from luml_app.schemas.errors import Invalid, LumlError
from luml_app.storage.disposition import attachment
from luml_app.storage.endpoints import endpoint_url, is_loopback, public_socket, refuse_private_literal
from luml_app.storage.errors import BucketRefused, NoSuchKey
from luml_app.storage.interface import ObjectInfo, Reach, StorageKind
from luml_app.storage.keys import check_key, required_upload
from luml_app.storage.parts import Part
from luml_app.storage.places import Place
from luml_app.storage.remote import CONNECT_SECONDS, READ_SECONDS, Line, gathered, run, seconds_for, stream

Value = TypeVar("Value")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
_BEHIND = {"InvalidRange", "416", "RequestedRangeNotSatisfiable"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "500", "502", "503", "504", "RequestTimeout"}
_NAMES_ITS_BUCKETS_BY_HOST = (".amazonaws.com", ".amazonaws.com.cn", ".aliyuncs.com")
"""Services that want the bucket in the name of the host; every other one understands it in the path."""


class S3Storage:
    """A bucket in S3's dialect; see `interface.Storage` for what its methods promise.

    With `public_only` no connection is made to a private address. Making an instance touches no network.
    Raises `Invalid`, which names the field, for a place that cannot be one.
    """

    kind: StorageKind = "s3"

    def __init__(self, place: Place, *, public_only: bool = False) -> None:
        self._url = _service_url(place)
        if not _BUCKET.fullmatch(place.bucket_name):
            raise Invalid.field("bucket_name", "Use letters, digits, '.', '-' or '_', a letter or digit first.")
        if public_only:
            refuse_private_literal(self._url)
        self._bucket = place.bucket_name
        self.reach = Reach(public_only=public_only, verify=place.cert_check is not False)
        self._line = Line(f"The bucket {place.bucket_name} at {self._url}")
        self._files = s3fs.S3FileSystem(**_options(place, self._url, public_only))

    # Signed addresses

    def upload_url(self, key: str, expires: int) -> str:
        """See `Storage.upload_url`."""
        return self._sign("put_object", key, expires)

    def download_url(self, key: str, expires: int, filename: str | None = None) -> str:
        """See `Storage.download_url`. It is good for GET alone: S3 signs HEAD apart."""
        named = {} if filename is None else {"ResponseContentDisposition": attachment(filename)}
        return self._sign("get_object", key, expires, **named)

    def delete_url(self, key: str, expires: int) -> str:
        """See `Storage.delete_url`."""
        return self._sign("delete_object", key, expires)

    def initiate_url(self, key: str, expires: int) -> str:
        """See `Storage.initiate_url`."""
        return self._sign("create_multipart_upload", key, expires)

    def part_urls(self, key: str, upload_id: str | None, parts: Sequence[Part], expires: int) -> list[str]:
        """See `Storage.part_urls`. Raises `InvalidArgument` without an `upload_id`."""
        given = required_upload(upload_id)
        place = self._place(key)

        async def work() -> list[str]:
            client = await self._files.set_session()
            return await gathered(
                [
                    client.generate_presigned_url(
                        "upload_part", {**place, "UploadId": given, "PartNumber": part.number}, ExpiresIn=expires
                    )
                    for part in parts
                ]
            )

        return run(work)

    def complete_url(self, key: str, upload_id: str | None, expires: int) -> str:
        """See `Storage.complete_url`. Raises `InvalidArgument` without an `upload_id`."""
        return self._sign("complete_multipart_upload", key, expires, UploadId=required_upload(upload_id))

    # Looking and deleting

    def abort_multipart(self, key: str, upload_id: str | None) -> None:
        """See `Storage.abort_multipart`."""
        if upload_id:
            self._ask("abort_multipart_upload", key, UploadId=upload_id)

    def stat(self, key: str) -> ObjectInfo | None:
        """See `Storage.stat`."""
        answer = self._ask("head_object", key, ChecksumMode="ENABLED")
        if answer is None:
            return None
        return ObjectInfo(
            size=answer["ContentLength"],
            sha256=_sha256_of(answer),
            etag=answer.get("ETag", "").strip('"'),
            modified=answer["LastModified"].timestamp(),
        )

    def read(self, key: str, offset: int, length: int) -> bytes:
        """See `Storage.read`."""
        place = self._place(key)
        last = offset + max(length, 1) - 1

        async def work() -> bytes:
            client = await self._files.set_session()
            answer = await client.get_object(**place, Range=f"bytes={offset}-{last}")
            async with answer["Body"] as body:
                return await _piece(body, 0 if "ContentRange" in answer else offset, length)

        found = self._call(work, seconds_for(length), behind=b"")
        if found is None:
            raise NoSuchKey(f"There is no object {key!r} in the bucket {self._bucket!r}.")
        return found

    def open_stream(self, key: str) -> BinaryIO:
        """See `Storage.open_stream`."""
        info = self.stat(key)
        if info is None:
            raise NoSuchKey(f"There is no object {key!r} in the bucket {self._bucket!r}.")
        return stream(info.size, lambda offset, length: self.read(key, offset, length))

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        self._ask("delete_object", key)

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": check_key(key)}

    def _sign(self, method: str, key: str, expires: int, **parameters: Any) -> str:
        parameters = {**self._place(key), **parameters}

        async def work() -> str:
            client = await self._files.set_session()
            url: str = await client.generate_presigned_url(method, parameters, ExpiresIn=expires)
            return url

        return run(work)

    def _ask(self, method: str, key: str, **parameters: Any) -> Any:
        """The answer of one call, or None when there is no such thing."""
        parameters = {**self._place(key), **parameters}

        async def work() -> Any:
            return await getattr(await self._files.set_session(), method)(**parameters)

        return self._call(work)

    def _call(
        self, work: Callable[[], Awaitable[Value]], seconds: float | None = None, behind: Value | None = None
    ) -> Value | None:
        try:
            return self._line.call(work, seconds)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))[:60]
            if code in _BEHIND:
                return behind
            if code in _MISSING:
                return None
            raise self._refusal(code) from error
        except SSLError as error:
            raise BucketRefused(
                f"{self._line.name} shows a certificate that is not trusted; mend it, or set cert_check to false."
            ) from error
        except (NoConnection, HTTPClientError, BrokenAnswer, OSError) as error:
            raise self._line.failed(error) from error
        except BotoCoreError as error:
            # Its text may quote an answer, and what answers there may be none of the tenant's business.
            raise BucketRefused(
                f"{self._line.name} does not answer as S3 does ({type(error).__name__}); check its address."
            ) from error

    def _refusal(self, code: str) -> LumlError:
        if code in _BUSY:
            return self._line.silence(2, code)
        if code == "NoSuchBucket":
            return BucketRefused(f"{self._line.name} does not exist; make it, or correct its name.")
        if code in {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}:
            return BucketRefused(f"{self._line.name} is in another region ({code}); correct its region or address.")
        return BucketRefused(
            f"{self._line.name} refuses the stored credentials ({code or 'no reason given'}); "
            "check access key, secret key, and what they are allowed to do."
        )


def _service_url(place: Place) -> str:
    url = endpoint_url(place.endpoint, secure=place.secure)
    region = place.region or "us-east-1"
    if urlsplit(url).hostname == "s3.amazonaws.com" and region != "us-east-1":
        # The address of all regions speaks for one only; signatures of another are not good there.
        return url.replace("//s3.amazonaws.com", f"//s3.{region}.amazonaws.com")
    return url


def _options(place: Place, url: str, public_only: bool) -> dict[str, Any]:
    """What the file system is made with. s3fs keeps instances for ever by itself, credentials and all; here
    `storage.opening` keeps them, and lets go of them.
    """
    secrets = place.secrets
    host = urlsplit(url).hostname or ""
    by_host = host.endswith(_NAMES_ITS_BUCKETS_BY_HOST) and "." not in place.bucket_name
    straight = public_only or is_loopback(url)
    return {
        "anon": "access_key" not in secrets,
        "key": secrets.get("access_key"),
        "secret": secrets.get("secret_key"),
        "token": secrets.get("session_token"),
        "endpoint_url": url,
        "skip_instance_cache": True,
        "client_kwargs": {
            "region_name": place.region or "us-east-1",
            "verify": False if place.cert_check is False else None,
        },
        "config_kwargs": {
            **({} if "access_key" not in secrets else {"signature_version": "s3v4"}),
            "s3": {"addressing_style": "virtual" if by_host else "path"},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"total_max_attempts": 2, "mode": "standard"},
            # Newer clients add a checksum to everything, which most other services than AWS refuse.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            **({"proxies": {}} if straight else {}),
            **({"connector_args": {"socket_factory": public_socket}} if public_only else {}),
        },
    }


def _sha256_of(answer: dict[str, Any]) -> str | None:
    """The sha256 that the service has computed over the whole object; that of an object in parts is one over the parts'
    checksums, even where the answer does not say so: their number in the ETag tells.
    """
    found, kind = answer.get("ChecksumSHA256"), answer.get("ChecksumType")
    in_parts = "-" in answer.get("ETag", "") and kind != "FULL_OBJECT"
    if not found or in_parts or kind == "COMPOSITE":
        return None
    return base64.b64decode(found).hex()


async def _piece(body: Any, skip: int, length: int) -> bytes:
    """`length` bytes after the first `skip`: a service that ignores ranges sends the object from its beginning."""
    found = bytearray()
    while len(found) < skip + length and (chunk := await body.read(min(2**20, skip + length - len(found)))):
        found += chunk
        drop = min(skip, len(found))
        del found[:drop]
        skip -= drop
    return bytes(found)
