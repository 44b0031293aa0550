"""What one may do."""

from __future__ import annotations

from luml_app.schemas.fields import Struct


class Permission(Struct, kw_only=True):
    """Whether one holds a permission somewhere, and why: true in a condition when it is so."""

    permission: str
    allowed: bool
    why: str

    def __bool__(self) -> bool:
        return self.allowed
