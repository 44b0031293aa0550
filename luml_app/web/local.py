"""The api without HTTP, for the pages and scripts that run in the server's own process."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from luml_app.client._generated import Api
from luml_app.client.calls import Call, Value
from luml_app.core.scope import Credentials
from luml_app.core.service import Request, Service, problem_of
from luml_app.schemas.errors import Invalid, LumlError


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

    def _send(self, call: Call[Value]) -> Value:
        operation = self.service.operations[call.operation]
        request = Request(operation, dict(call.path), call.query, self._checked(call), self.credentials)
        try:
            return cast(Value, self.service.call(request).value)
        except LumlError as error:
            error.message = f"{call.operation}: {error.message}"
            error.args = (error.message,)
            raise

    @staticmethod
    def _checked(call: Call[Any]) -> Any:
        """The body as it would arrive over HTTP: structs check their fields only when they are decoded."""
        if call.body is None:
            return None
        try:
            return msgspec.json.decode(msgspec.json.encode(call.body), type=type(call.body))
        except msgspec.ValidationError as error:
            raise Invalid(problems=[problem_of(error, ["body"])]) from error
