"""Ways to sign in that somebody else vouches for."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Annotated, Literal, Meta, Struct, datetime

ProviderName = Literal["google", "microsoft", "oidc"]
Target = Annotated[str, Meta(max_length=2048)]


class Identity(Struct, kw_only=True):
    """An account elsewhere with which one signs in here."""

    id: UUID
    provider: str
    issuer: str
    email: str | None = None
    created_at: datetime
    last_used_at: datetime | None = None


class IdentityLink(Struct, kw_only=True):
    """The wish to connect an account elsewhere; `next`: the page to come back to."""

    provider: ProviderName
    next: Target = "/account"


class ProviderVisit(Struct, kw_only=True):
    """Where the browser goes now, to come back with an answer."""

    url: str


class SignInProvider(Struct, kw_only=True):
    """A provider that the operator has set up; `path` begins to sign in."""

    name: str
    label: str
    path: str


class WaysIn(Struct, kw_only=True):
    """How one may get in: by which providers, and who may sign up (``open``, ``invited``, ``closed``)."""

    providers: list[SignInProvider]
    signup: str
