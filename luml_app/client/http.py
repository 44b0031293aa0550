"""The Python API over HTTP: `Client`, and `AsyncClient` for asyncio."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import httpx

from luml_app.client._generated import Api, AsyncApi
from luml_app.client.calls import Call, Value
from luml_app.client.settings import Connection, find_connection
from luml_app.client.wire import HttpRequest, request_of, value_of
from luml_app.schemas.errors import LumlError, TooManyRequests, Unavailable

if TYPE_CHECKING:
    from luml_app.client.objects import OrbitHandle

TIMEOUT = 30.0
TRIES = 4


class Client(Api):
    """The Python API of a LUML server.

    Address and key come from the arguments, else ``LUML_ADDRESS`` and ``LUML_API_KEY``, else the config file that
    `luml up` and `luml login` write. Use it as a context manager, or close it. Thread-safe.

    Reads are repeated when the server or the network stumbles, writes only when the server has surely not seen them.
    Every error descends from `LumlError`.
    """

    def __init__(self, address: str | None = None, api_key: str | None = None, *, timeout: float = TIMEOUT) -> None:
        super().__init__(self._send)
        self.connection = find_connection(address, api_key)
        self._http = httpx.Client(**_options(self.connection, timeout), transport=httpx.HTTPTransport(verify=_trust()))
        self._timeout = timeout

    @property
    def address(self) -> str:
        """The server's address."""
        return self.connection.address

    def orbit(self, name: str | UUID | None = None) -> OrbitHandle:
        """The orbit of this name or id; without one, the only orbit there is. Raises NotFound, which lists them."""
        from luml_app.client.objects import find_orbit

        return find_orbit(self, name)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: Call[Value]) -> Value:
        request = request_of(call)
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._http.request(**_arguments(request, self._timeout))
                return value_of(call, answer.status_code, answer.headers, answer.content)
            except (httpx.TransportError, LumlError) as error:
                time.sleep(_pause(error, request, attempt, self.address))
        raise AssertionError("the last attempt either answers or raises")


class AsyncClient(AsyncApi):
    """The same for asyncio: every method is awaited."""

    def __init__(self, address: str | None = None, api_key: str | None = None, *, timeout: float = TIMEOUT) -> None:
        super().__init__(self._send)
        self.connection = find_connection(address, api_key)
        transport = httpx.AsyncHTTPTransport(verify=_trust())
        self._http = httpx.AsyncClient(**_options(self.connection, timeout), transport=transport)
        self._timeout = timeout

    @property
    def address(self) -> str:
        """The server's address."""
        return self.connection.address

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _send(self, call: Call[Value]) -> Value:
        request = request_of(call)
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._http.request(**_arguments(request, self._timeout))
                return value_of(call, answer.status_code, answer.headers, answer.content)
            except (httpx.TransportError, LumlError) as error:
                await asyncio.sleep(_pause(error, request, attempt, self.address))
        raise AssertionError("the last attempt either answers or raises")


@cache
def _trust() -> ssl.SSLContext:
    """One TLS context for all clients: making one costs 15 ms of CPU."""
    return ssl.create_default_context()


def _options(connection: Connection, timeout: float) -> dict[str, Any]:
    headers = {"User-Agent": "luml-python"}
    if connection.api_key:
        headers["Authorization"] = f"Bearer {connection.api_key}"
    return {"base_url": connection.address, "timeout": timeout, "headers": headers}


def _arguments(request: HttpRequest, timeout: float) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "params": request.params,
        "content": request.content,
        "headers": request.headers,
        "timeout": timeout + request.patience,
    }


def _pause(error: Exception, request: HttpRequest, attempt: int, address: str) -> float:
    """Seconds to wait before the next attempt. Raises the error, in our words, when there shall be none."""
    seen = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    passing = isinstance(error, (httpx.TransportError, Unavailable, TooManyRequests))
    refused_unseen = isinstance(error, (Unavailable, TooManyRequests)) and error.retry_after is not None
    if attempt == TRIES or not passing or (seen and request.method != "GET" and not refused_unseen):
        raise _explained(error, address) from error
    asked: float | None = getattr(error, "retry_after", None)
    return min(asked if asked is not None else 0.2 * 2**attempt, 30.0) * random.uniform(0.8, 1.2)  # noqa: S311


def _explained(error: Exception, address: str) -> Exception:
    if isinstance(error, httpx.ConnectError):
        return Unavailable(f"Nothing answers at {address} ({error}). Is the server running, and the address right?")
    if isinstance(error, httpx.TransportError):
        return Unavailable(f"The connection to {address} failed: {type(error).__name__}: {error}")
    return error
