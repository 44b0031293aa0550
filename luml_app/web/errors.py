"""Errors as HTTP: the one table of statuses, and the contract's bodies."""

from __future__ import annotations

from typing import Any

import msgspec

from luml_app.schemas import errors

STATUS: dict[type[errors.LumlError], int] = {
    errors.BadRequest: 400,
    errors.Invalid: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}


def status_of(error: errors.LumlError) -> int:
    """The HTTP status of an error: its own, or its nearest ancestor's; 500 for one that nobody foresaw."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def body_of(error: errors.LumlError) -> dict[str, Any]:
    """The body of an error: a sentence, or, for faults of fields, their list; and our code for clients that know it."""
    detail: Any = error.message
    if isinstance(error, errors.Invalid):
        problems = error.problems or [errors.Problem(["body"], error.message)]
        detail = msgspec.to_builtins(problems)
    return {"detail": detail, "code": error.code}
