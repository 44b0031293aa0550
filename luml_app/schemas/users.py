"""Accounts, sign-in and API keys."""

from __future__ import annotations

from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Email,
    Literal,
    MaybeName,
    Meta,
    Name,
    Password,
    Struct,
    UnsetType,
    datetime,
)

KeyScope = Literal["api", "inference", "logs"]


class SignIn(Struct, kw_only=True):
    """E-mail address and password."""

    email: Email
    password: Annotated[str, Meta(max_length=128)]


class SignedIn(Struct, kw_only=True):
    """Who has signed in; the tokens travel as cookies."""

    detail: str
    user_id: UUID


class User(Struct, kw_only=True):
    """A person with an account."""

    id: UUID
    email: str
    full_name: str | None = None
    disabled: bool | None = None
    photo: str | None = None
    has_api_key: bool = False


class UserUpdate(Struct, kw_only=True):
    """Changes of one's own account."""

    full_name: MaybeName | UnsetType | None = UNSET
    photo: Annotated[str, Meta(max_length=2048)] | UnsetType | None = UNSET
    password: Password | UnsetType | None = UNSET


class LoginLink(Struct, kw_only=True):
    """An address that signs its bearer in, once, until `expires_at`."""

    path: str
    expires_at: datetime


class ApiKeyCreated(Struct, kw_only=True):
    """A new API key; `key` is shown this once and never again."""

    key: str


class ApiKey(Struct, kw_only=True):
    """An API key as it is listed, without the key itself. `orbit_id`: it opens this orbit only."""

    id: UUID
    name: str
    hint: str
    scopes: list[str]
    orbit_id: UUID | None = None
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


Scopes = Annotated[list[KeyScope], Meta(min_length=1, max_length=3)]
Moment = Annotated[datetime, Meta(tz=True)]


class ApiKeyCreate(Struct, kw_only=True):
    """A named API key: what it opens (`scopes`; None: everything), where (`orbit_id`; None: everywhere), how long."""

    name: Name
    scopes: Scopes | None = None
    orbit_id: UUID | None = None
    expires_at: Moment | None = None


class ApiKeyUpdate(Struct, kw_only=True):
    """Changes of an API key; `expires_at` null: it does not expire."""

    name: Name | UnsetType | None = UNSET
    scopes: Scopes | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET
