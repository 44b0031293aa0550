"""An Azure account as adlfs sees it, with the liberties taken away that a server of many tenants cannot grant it."""

from __future__ import annotations

import errno
import os
import weakref
from typing import Any

import aiohttp
from adlfs import AzureBlobFileSystem
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobServiceClient

from luml_app.storage.endpoints import is_loopback, public_socket
from luml_app.storage.remote import CONNECT_SECONDS, READ_SECONDS

_AMBIENT = ("connection_string", "sas_token", "client_id", "client_secret", "tenant_id")
"""What adlfs takes from the server's environment where it is not given; it is the operator's, not a tenant's."""


class AzureFiles(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs has no types
    """The containers of one account, by account name and key and by nothing else; paths are ``container/key``.

    With `public_only` no connection is made to a private address. An instance is let go of when nobody uses it any
    more; whoever made it closes `service_client`. Making one touches no network.
    """

    cachable = False
    protocol = "luml-azure"  # never to be found by the address of a file

    def __init__(self, url: str, account: str, key: str, *, public_only: bool = False) -> None:
        self._given = (url, {"account_name": account, "account_key": key})
        self._public_only = public_only
        super().__init__(account_name=account, account_key=key, anon=False, max_concurrency=1, use_listings_cache=False)
        for name in _AMBIENT:
            setattr(self, name, None)
        self._forget_finalizers()

    def do_connect(self) -> None:
        """Make the client, with our patience and our connections."""
        url, credential = self._given
        self.service_client = BlobServiceClient(
            url,
            credential=credential,
            transport=_Transport(straight=self._public_only or is_loopback(url), guarded=self._public_only),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retry_total=0,  # its pauses between attempts are longer than our patience
        )

    def _forget_finalizers(self) -> None:
        """Those of adlfs hold what they wait for the end of, which therefore never comes."""
        for reference in weakref.getweakrefs(self):
            if isinstance(finalizer := reference.__callback__, weakref.finalize):
                finalizer.detach()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Nothing: in a key, ``#`` and ``?`` are characters like all others."""
        return path

    def split_path(self, path: str, *_: Any, **__: Any) -> tuple[str, str, None]:
        """Container and key; no version."""
        container, _slash, key = path.partition("/")
        return container, key, None

    async def _dir_exists(self, container: str, path: str) -> bool:
        """Asked when there is no such blob. There are no folders; but if it is the container that is missing, say so.

        Raises `ResourceNotFoundError`.
        """
        async with self.service_client.get_container_client(container) as client:
            await client.get_container_properties()
        return False

    async def _rm_file(self, path: str, **_: Any) -> None:
        """Delete a blob with its snapshots, which would keep it alive. Raises FileNotFoundError."""
        container, key, _version = self.split_path(path)
        try:
            async with self.service_client.get_blob_client(container, key) as blob:
                await blob.delete_blob(delete_snapshots="include")
        except ResourceNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error


class _Transport(AioHttpTransport):  # type: ignore[misc]  # the SDK has no types for it
    """Connections by aiohttp, `straight` ones not through the environment's proxies, `guarded` ones not to private
    addresses.
    """

    def __init__(self, *, straight: bool, guarded: bool) -> None:
        super().__init__(use_env_settings=not straight)
        self._straight = straight
        self._guarded = guarded

    session: aiohttp.ClientSession | None

    async def open(self) -> None:
        """Make the session, on the loop that uses it."""
        if self.session is None:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=public_socket if self._guarded else None),
                trust_env=not self._straight,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        await super().open()
