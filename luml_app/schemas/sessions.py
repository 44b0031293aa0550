"""Sessions and ways to sign in."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Struct, datetime


class Session(Struct, kw_only=True):
    """A place where one is signed in; `current`: the one that asks. `device` is what `user_agent` means."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    ip: str | None = None
    device: str
    user_agent: str | None = None
    current: bool = False
