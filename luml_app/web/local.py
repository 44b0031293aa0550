"""The api without HTTP, for the pages and scripts that run in the server's own process."""

from __future__ import annotations

from typing import Any, cast

import httpx
import msgspec

from luml_app.client._generated import Api
from luml_app.client.calls import Call, Value
from luml_app.client.places import place_of
from luml_app.core.scope import Credentials
from luml_app.core.service import Request, Service
from luml_app.schemas.errors import LumlError
from luml_app.schemas.permissions import Permission
from luml_app.web.outbound import Place, open_http


class LocalApi(Api):
    """Calls operations directly, in the name of one caller; every call checks anew who that is and what they may do."""

    def __init__(self, service: Service, credentials: Credentials) -> None:
        super().__init__(self._send)
        self.service = service
        self.credentials = credentials

    @property
    def address(self) -> str:
        """The server's address."""
        return self.service.settings.address

    def open_http(self, place: Place, **more: Any) -> httpx.Client:
        """Connections to the satellites or the buckets of tenants, to where the operator's settings let them go."""
        return open_http(self.service.settings, place, **more)

    def can(self, permission: str, where: Any) -> Permission:
        """The same as `Client.can`; an orbit is given by its id, or as it was read."""
        return self.permissions.check(permission=permission, **place_of(where))

    def _send(self, call: Call[Value]) -> Value:
        operation = self.service.operations[call.operation]
        # As it would arrive over HTTP: structs check their fields only when they are decoded.
        body = None if call.body is None else msgspec.json.encode(call.body)
        request = Request(operation, dict(call.path), call.query, body, self.credentials)
        try:
            return cast(Value, self.service.call(request).value)
        except LumlError as error:
            error.message = f"{call.operation}: {error.message}"
            error.args = (error.message,)
            raise
