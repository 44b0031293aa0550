"""Requests to signed addresses, sent by the server itself: only a probe does that, everything else clients do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from fsspec.exceptions import FSTimeoutError
from yarl import URL

from luml_app.storage.endpoints import is_loopback, public_socket
from luml_app.storage.interface import Reach
from luml_app.storage.remote import CONNECT_SECONDS, READ_SECONDS, SECONDS, Line, run

_LARGEST = 2**16


@dataclass(frozen=True)
class Reply:
    """What came back: at most the first 64 KiB of the body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Requests:
    """Sends requests one by one, without following redirects, by the way that `reach` allows."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Reply:
        """The reply. Raises `Unavailable`, and `BucketRefused` for a private address that is not allowed."""
        split = urlsplit(url)
        line = Line(f"{split.scheme}://{split.netloc}")
        try:
            return run(lambda: self._send(method, url, content, headers), SECONDS)
        except (FSTimeoutError, TimeoutError) as error:
            raise line.silence() from error
        except (aiohttp.ClientError, OSError) as error:
            raise line.failed(error) from error

    async def _send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Reply:
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        straight = self._reach.public_only or is_loopback(url)
        async with (
            aiohttp.ClientSession(connector=self._connector(), timeout=timeout, trust_env=not straight) as session,
            session.request(
                # As it was signed: written in another way it would be another address.
                method,
                URL(url, encoded=True),
                data=content,
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            return Reply(answer.status, answer.headers, await answer.content.read(_LARGEST))

    def _connector(self) -> aiohttp.TCPConnector:
        guard = public_socket if self._reach.public_only else None
        return aiohttp.TCPConnector(socket_factory=guard, ssl=self._reach.verify, force_close=True)
