"""What can go wrong with a run, and what is only said."""

from __future__ import annotations

from luml_app.schemas.errors import LumlError


class TrackingError(LumlError):
    """The run cannot do that."""

    code = "tracking_error"


class TrackingWarning(UserWarning):
    """Something of a run was lost or put off; training goes on."""
