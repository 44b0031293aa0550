"""The server's settings: the one place in `luml_app` that reads the environment, each variable named once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import platformdirs

from luml_app.schemas.errors import ConfigurationError

PREFIX = "LUML_"


@dataclass(frozen=True)
class Settings:
    """What an operator may set; every field `x` is read from ``LUML_X``.

    `database_url` None means the embedded PostgreSQL; `public_url` None means ``http://host:port``.
    `behind_proxy` "auto" means yes if there is a `public_url`.
    `private_buckets` other than "allow" forbids buckets at private, loopback and link-local addresses, and
    `private_satellites` forbids the pages to call satellites there.
    """

    home: Path = field(default_factory=lambda: platformdirs.user_data_path("luml"))
    config_file: Path = field(default_factory=lambda: Path.home() / ".config" / "luml" / "config.toml")
    database_url: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 5010
    public_url: str | None = None
    behind_proxy: str = "auto"
    admin_email: str = "admin@localhost"
    admin_password: str | None = field(default=None, repr=False)
    runtime: str = "auto"
    secret_keys: str | None = field(default=None, repr=False)
    private_buckets: str = "allow"
    private_satellites: str = "allow"
    pool_size: int = 10
    statement_seconds: int = 30
    access_token_seconds: int = 3 * 3600
    refresh_token_seconds: int = 7 * 24 * 3600
    signed_url_seconds: int = 3600
    max_body_bytes: int = 32 * 2**20
    satellite_silence_seconds: int = 20 * 60
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    signup: str = "invited"
    events_kept_days: int = 0
    invite_days: int = 7
    organizations_per_user: int | None = None
    webhook_networks: str | None = None
    webhook_ca_file: str | None = None
    google_issuer: str = "https://accounts.google.com"
    google_client_id: str | None = None
    google_client_secret: str | None = field(default=None, repr=False)
    microsoft_authority: str = "https://login.microsoftonline.com"
    microsoft_tenant: str = "common"
    microsoft_client_id: str | None = None
    microsoft_client_secret: str | None = field(default=None, repr=False)
    oidc_issuer: str | None = None
    oidc_label: str = "single sign-on"
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Read ``LUML_*``; `overrides` that are not None win. An empty variable is one that is not set.

        Raises ConfigurationError, which names the variable, when a value cannot be read.
        """
        environment = os.environ if environment is None else environment
        known = {
            name: _read(name, kind, environment)
            for name, kind in _KINDS.items()
            if environment.get(PREFIX + name.upper())
        }
        settings = cls(**known)
        return replace(settings, **{name: value for name, value in overrides.items() if value is not None})

    def child_environment(self, **variables: str) -> dict[str, str]:
        """The environment of a child process with these settings, and with further `variables`."""
        own = {PREFIX + name.upper(): getattr(self, name) for name in _KINDS}
        told = {name: str(value) for name, value in own.items() if value is not None}
        environment = {**os.environ, **told, **variables}
        environment.pop("LUML_ADMIN_PASSWORD", None)  # only who creates the first user needs it
        return environment

    @property
    def address(self) -> str:
        """The address under which people and clients reach this server, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def proxied(self) -> bool:
        """Whether a proxy stands in front, whose word on where a request comes from is believed."""
        return self.behind_proxy == "yes" or (self.behind_proxy == "auto" and self.public_url is not None)

    @property
    def secure(self) -> bool:
        """Whether the server is reached over https, so that its cookies must be, too."""
        return self.address.startswith("https://")

    @property
    def store_root(self) -> Path:
        """Where the built-in bucket keeps its objects."""
        return self.home / "store"


_KINDS: dict[str, Any] = {
    name: {"Path": Path, "int": int}.get(str(spec.type).split(" ")[0], str)
    for name, spec in Settings.__dataclass_fields__.items()
}


_CHOICES = {
    "signup": ("open", "invited", "closed"),
    "private_buckets": ("allow", "refuse"),
    "private_satellites": ("allow", "refuse"),
    "behind_proxy": ("auto", "yes", "no"),
}
_LEAST = {"port": 0, "events_kept_days": 0}  # every other number is at least one


def _read(name: str, kind: Any, environment: Mapping[str, str]) -> Any:
    variable = PREFIX + name.upper()
    given = f"{variable}={environment[variable]!r}"
    if name in _CHOICES and environment[variable] not in _CHOICES[name]:
        raise ConfigurationError(f"{given} is none of {', '.join(_CHOICES[name])}.")
    try:
        value = kind(environment[variable])
    except ValueError as error:
        raise ConfigurationError(f"{given} is not a {kind.__name__}.") from error
    if kind is int and value < _LEAST.get(name, 1):
        raise ConfigurationError(f"{given} must be at least {_LEAST.get(name, 1)}.")
    if name == "public_url" and not re.match(r"https?://[^/\s]+", value):
        raise ConfigurationError(f"{given} is not an address; it looks like https://luml.example.com.")
    return value
