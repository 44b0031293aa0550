"""Containers of Azure Blob Storage: what the server does there itself goes through adlfs (see `azure_files`).

Clients get addresses with a shared access signature for one blob. Those are made by the SDK below adlfs, which itself
signs for reading only.
"""

from __future__ import annotations

import base64
import re
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import generate_blob_sas

from luml_app.schemas.errors import Invalid, LumlError
from luml_app.storage.azure_files import AzureFiles
from luml_app.storage.disposition import attachment
from luml_app.storage.endpoints import endpoint_url, refuse_private_literal
from luml_app.storage.errors import BucketRefused, NoSuchKey
from luml_app.storage.interface import ObjectInfo, Reach, StorageKind
from luml_app.storage.keys import check_key
from luml_app.storage.parts import Part
from luml_app.storage.places import Place
from luml_app.storage.remote import Line, run, seconds_for, stream

Value = TypeVar("Value")
_CONTAINER = re.compile(r"\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62}")


class AzureStorage:
    """A container in Azure's dialect; see `interface.Storage` for what its methods promise.

    With `public_only` no connection is made to a private address. Making an instance touches no network.
    Raises `Invalid`, which names the field, for a place that cannot be one.
    """

    kind: StorageKind = "azure"

    def __init__(self, place: Place, *, public_only: bool = False) -> None:
        if not _CONTAINER.fullmatch(place.bucket_name):
            raise Invalid.field("bucket_name", "Use 3 to 63 lower-case letters, digits, and single '-' between them.")
        self._url = endpoint_url(place.endpoint)
        if public_only:
            refuse_private_literal(self._url)
        self._container = place.bucket_name
        self._account, self._key = place.secrets["account_name"], place.secrets["account_key"]
        self._files = AzureFiles(self._url, self._account, self._key, public_only=public_only)
        weakref.finalize(self, _close, self._files.service_client)
        self.reach = Reach(public_only=public_only)
        self._line = Line(f"The container {place.bucket_name} at {self._url}")

    # Signed addresses

    def upload_url(self, key: str, expires: int) -> str:
        """See `Storage.upload_url`. The PUT needs the header ``x-ms-blob-type: BlockBlob``."""
        return self._sign(key, "cw", expires)

    def download_url(self, key: str, expires: int, filename: str | None = None) -> str:
        """See `Storage.download_url`."""
        return self._sign(key, "r", expires, None if filename is None else attachment(filename))

    def delete_url(self, key: str, expires: int) -> str:
        """See `Storage.delete_url`."""
        return self._sign(key, "d", expires)

    def initiate_url(self, key: str, expires: int) -> None:
        """See `Storage.initiate_url`: nothing has to be begun."""

    def part_urls(self, key: str, upload_id: str | None, parts: Sequence[Part], expires: int) -> list[str]:
        """See `Storage.part_urls`."""
        url = self._sign(key, "cw", expires)
        return [f"{url}&comp=block&blockid={quote(block_id(part.number), safe='')}" for part in parts]

    def complete_url(self, key: str, upload_id: str | None, expires: int) -> str:
        """See `Storage.complete_url`: it takes the block list by PUT."""
        return f"{self._sign(key, 'cw', expires)}&comp=blocklist"

    # Looking and deleting

    def abort_multipart(self, key: str, upload_id: str | None) -> None:
        """See `Storage.abort_multipart`: the service itself forgets blocks that no list names, after a week."""
        check_key(key)

    def stat(self, key: str) -> ObjectInfo | None:
        """See `Storage.stat`. No sha256: the service knows an MD5, and that of a blob in blocks is but claimed."""
        path = self._path(key)

        async def work() -> Any:
            return await self._files._info(path)

        found = self._call(work)
        if found is None or found["type"] != "file":
            return None
        return ObjectInfo(found["size"], None, found["etag"].strip('"'), found["last_modified"].timestamp())

    def read(self, key: str, offset: int, length: int) -> bytes:
        """See `Storage.read`."""
        path, end = self._path(key), offset + max(length, 1)

        async def work() -> bytes:
            data: bytes = await self._files._cat_file(path, offset, end)
            return data[:length]

        found = self._call(work, seconds_for(length), behind=b"")
        if found is None:
            raise NoSuchKey(f"There is no blob {key!r} in the container {self._container!r}.")
        return found

    def open_stream(self, key: str) -> BinaryIO:
        """See `Storage.open_stream`."""
        info = self.stat(key)
        if info is None:
            raise NoSuchKey(f"There is no blob {key!r} in the container {self._container!r}.")
        return stream(info.size, lambda offset, length: self.read(key, offset, length))

    def delete(self, key: str) -> None:
        """See `Storage.delete`; snapshots go with it."""
        path = self._path(key)

        async def work() -> None:
            await self._files._rm_file(path)

        self._call(work)

    def _sign(self, key: str, permission: str, expires: int, disposition: str | None = None) -> str:
        signature = generate_blob_sas(
            self._account,
            self._container,
            check_key(key),
            account_key=self._key,
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(seconds=expires),
            content_disposition=disposition,
        )
        return f"{self._url}/{quote(self._container)}/{quote(key, safe='~/')}?{signature}"

    def _path(self, key: str) -> str:
        return f"{self._container}/{check_key(key)}"

    def _call(
        self, work: Callable[[], Awaitable[Value]], seconds: float | None = None, behind: Value | None = None
    ) -> Value | None:
        try:
            return self._line.call(work, seconds)
        except FileNotFoundError as error:
            if _code_of(error.__cause__) == "ContainerNotFound":
                raise self._refusal("ContainerNotFound", 404) from error
            return None
        except HttpResponseError as error:
            if error.status_code == 416:
                return behind
            raise self._refusal(_code_of(error), error.status_code or 0) from error
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise self._line.failed(error) from error

    def _refusal(self, code: str, status: int) -> LumlError:
        if status >= 500 or status in {408, 429}:
            return self._line.silence(2, code)
        if code == "ContainerNotFound":
            return BucketRefused(f"{self._line.name} does not exist; make it, or correct its name.")
        return BucketRefused(
            f"{self._line.name} refuses the stored credentials ({code or status}); "
            "check the connection string, and what its key is allowed to do."
        )


def _code_of(error: BaseException | None) -> str:
    """The service's own word for an error."""
    return str(getattr(error, "error_code", None) or "")[:60]


def _close(service: Any) -> None:
    with suppress(Exception):  # nobody is left to be told
        run(service.close, 2)


def block_id(number: int) -> str:
    """The id of the block that is part `number`; all ids of a blob must have one length."""
    return base64.b64encode(f"block-{number:08d}".encode()).decode()
