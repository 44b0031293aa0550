"""The Python API over HTTP: `Client`, and `AsyncClient` for asyncio."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack
from uuid import UUID

import httpx

from luml_app.client._generated import Api, AsyncApi
from luml_app.client.calls import Call, Id, Value
from luml_app.client.connections import explained, open_direct, options
from luml_app.client.logs import Chosen, Reading, log_url, read, read_async, record_of
from luml_app.client.places import is_name, place_of
from luml_app.client.settings import Connection, find_connection
from luml_app.client.wire import HttpRequest, request_of, value_of
from luml_app.schemas.errors import LumlError, TooManyRequests, Unauthenticated, Unavailable
from luml_app.schemas.logs import LogLine, RequestRecord
from luml_app.schemas.permissions import Permission

if TYPE_CHECKING:
    from luml_app.client.objects import ArtifactHandle
    from luml_app.client.orbits import OrbitHandle
    from luml_app.client.organizations import OrganizationHandle

TIMEOUT = 30.0
TRIES = 4
LONGEST_PAUSE = 30.0


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
        self._http = httpx.Client(**_options(self.connection, timeout))
        self._timeout = timeout
        self._direct: httpx.Client | None = None
        self._opening = threading.Lock()

    @property
    def address(self) -> str:
        """The server's address."""
        return self.connection.address

    def orbit(self, name: str | UUID | None = None) -> OrbitHandle:
        """The orbit of this name or id; without one, the only orbit there is. Raises NotFound, which lists them."""
        from luml_app.client.orbits import find_orbit

        return find_orbit(self, name)

    def can(self, permission: str, where: Any) -> Permission:
        """Whether one may, as in ``client.can("deployment:create", orbit)``; the answer's `why` says why (not).

        `where` is an orbit (its handle, id or name) or an organization. Raises NotFound for a place that one cannot
        see, and Invalid for a permission that does not exist.
        """
        place = place_of(self.orbit(where) if is_name(where) else where)
        return self.permissions.check(permission=permission, **place)

    def artifact(self, address: str | UUID) -> ArtifactHandle:
        """The artifact at an address such as ``luml://orbit/collection/name`` or ``luml://orbit/track@production``, or
        with an id. Raises NotFound, which lists what there is.
        """
        from luml_app.client.addresses import find_artifact

        return find_artifact(self, address)

    def organization(self, name: str | UUID | None = None) -> OrganizationHandle:
        """The organization of this name or id; without one, the only one. Raises NotFound, which lists them."""
        from luml_app.client.organizations import OrganizationHandle, find_organization

        return OrganizationHandle(self, find_organization(self, name))

    def logs(self, organization_id: Id, orbit_id: Id, deployment_id: Id, **chosen: Unpack[Chosen]) -> Iterator[LogLine]:
        """The log of a deployment, straight from its satellite: what its models have printed and what was done with it.

        `tail`: the last so many lines; `since`: from a time, or for so long; `revision` (its number) and `replica`
        choose. With `follow` it goes on with the lines to come, across rollouts and interruptions, until the deployment
        is gone. Needs an API key with the scope `api` or `logs`.

        Raises Conflict when the satellite has never been started, Unavailable when it cannot be reached from here.
        """
        return read(self.direct, self._lines("logs", organization_id, orbit_id, deployment_id, chosen))

    def requests(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, **chosen: Unpack[Chosen]
    ) -> Iterator[RequestRecord]:
        """The requests that a deployment's satellite has recorded; chosen as in `logs`, and with the same errors.

        None are unless the deployment's parameter `monitoring` says of how many percent it is to be done.
        """
        lines = read(self.direct, self._lines("requests", organization_id, orbit_id, deployment_id, chosen))
        return map(record_of, lines)

    def _lines(self, kind: str, organization_id: Id, orbit_id: Id, deployment_id: Id, chosen: Chosen) -> Reading:
        found = self.deployments.get(organization_id, orbit_id, deployment_id)
        url = log_url(found, self.satellites.get(organization_id, orbit_id, found.satellite_id), kind)
        return Reading(url, self.connection.api_key, **chosen)

    @property
    def direct(self) -> httpx.Client:
        """Pooled connections to other places than the server, buckets and endpoints; they do not carry the key."""
        with self._opening:
            if self._direct is None:
                self._direct = open_direct()
            return self._direct

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        with self._opening:
            if self._direct is not None:
                self._direct.close()

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
            except (httpx.HTTPError, httpx.InvalidURL, LumlError) as error:
                pause = _pause(error, request, attempt, self.connection)
            time.sleep(pause)
        raise AssertionError("the last attempt either answers or raises")


class AsyncClient(AsyncApi):
    """The same for asyncio: every method is awaited."""

    def __init__(self, address: str | None = None, api_key: str | None = None, *, timeout: float = TIMEOUT) -> None:
        super().__init__(self._send)
        self.connection = find_connection(address, api_key)
        self._http = httpx.AsyncClient(**_options(self.connection, timeout))
        self._timeout = timeout

    @property
    def address(self) -> str:
        """The server's address."""
        return self.connection.address

    async def can(self, permission: str, where: Any) -> Permission:
        """The same as `Client.can`; an orbit is given by its id, or as it was read."""
        return await self.permissions.check(permission=permission, **place_of(where))

    async def logs(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, **chosen: Unpack[Chosen]
    ) -> AsyncIterator[LogLine]:
        """The same as `Client.logs`, for ``async for``."""
        async for line in read_async(await self._lines("logs", organization_id, orbit_id, deployment_id, chosen)):
            yield line

    async def requests(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, **chosen: Unpack[Chosen]
    ) -> AsyncIterator[RequestRecord]:
        """The same as `Client.requests`, for ``async for``."""
        async for line in read_async(await self._lines("requests", organization_id, orbit_id, deployment_id, chosen)):
            yield record_of(line)

    async def _lines(self, kind: str, organization_id: Id, orbit_id: Id, deployment_id: Id, chosen: Chosen) -> Reading:
        found = await self.deployments.get(organization_id, orbit_id, deployment_id)
        url = log_url(found, await self.satellites.get(organization_id, orbit_id, found.satellite_id), kind)
        return Reading(url, self.connection.api_key, **chosen)

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
            except (httpx.HTTPError, httpx.InvalidURL, LumlError) as error:
                pause = _pause(error, request, attempt, self.connection)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt either answers or raises")


def _options(connection: Connection, timeout: float) -> dict[str, Any]:
    own = options(base_url=connection.address, timeout=timeout)
    if connection.api_key:
        own["headers"] = {**own["headers"], "Authorization": f"Bearer {connection.api_key}"}
    return own


def _arguments(request: HttpRequest, timeout: float) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "params": request.params,
        "content": request.content,
        "headers": request.headers,
        "timeout": timeout + request.patience,
    }


def _pause(error: Exception, request: HttpRequest, attempt: int, connection: Connection) -> float:
    """Seconds to wait before the next attempt. Raises the error, in our words, when there shall be none."""
    asked: float | None = getattr(error, "retry_after", None)
    last = attempt == TRIES or (asked or 0) > LONGEST_PAUSE
    if last or not _may_repeat(error, request, asked):
        _raise(error, connection)
    return asked if asked is not None else 0.2 * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311


def _may_repeat(error: Exception, request: HttpRequest, asked: float | None) -> bool:
    """Reads after whatever passes by itself; writes only when the server has surely done nothing."""
    if isinstance(error, (Unavailable, TooManyRequests)):
        return request.method == "GET" or asked is not None
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return True
    wrong = isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
    return isinstance(error, httpx.TransportError) and request.method == "GET" and not wrong


def _raise(error: Exception, connection: Connection) -> NoReturn:
    address = connection.address
    if isinstance(error, Unauthenticated) and not connection.api_key and connection.source["api_key"] == "default":
        hint = f"There is no API key for {address}: run `luml login`, or set LUML_API_KEY."
        raise Unauthenticated(f"{error.message} {hint}") from None
    if isinstance(error, LumlError):
        raise error
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise Unavailable(
            f"Nothing answers at {address} ({explained(error)}). Is the server running, and the address right?"
        ) from error
    raise Unavailable(f"The connection to {address} failed: {explained(error)}") from error  # type: ignore[arg-type]
