"""The API key that `luml up` gives the first user, and where it is kept.

Always in the home, so that the next start finds it; and in the user's config file, unless that belongs to another
server, whose key could not be had again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from luml_app.client.settings import Connection, find_connection, save_connection
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import ConfigurationError, LumlError
from luml_app.web.house import House

KEY_NAME = "luml up"


@dataclass(frozen=True)
class Access:
    """A key, and the file in which clients find it; `obstacle` says why that is not the user's config file."""

    api_key: str
    kept_in: Path
    obstacle: str | None = None


def stored_in(path: Path) -> Connection:
    """What a config file holds. Raises ConfigurationError when it cannot be read."""
    return find_connection(environment={"LUML_CONFIG_FILE": str(path)})


def give_access(house: House, user_id: UUID) -> Access:
    """The user's key: the one that is kept while it is good, else a new one in its place."""
    address, config = house.settings.address, house.settings.config_file
    own = house.settings.home / "config.toml"
    theirs = stored_in(config)
    kept = next((key for key in (theirs.api_key, stored_in(own).api_key) if _opens(house, key, user_id)), None)
    key = kept or _new_key(house, user_id)
    save_connection(address, key, own)
    if theirs.api_key not in (None, key) and theirs.address != address:
        return Access(key, own, f"{config} belongs to another server and stays as it is")
    try:
        return Access(key, save_connection(address, key, config))
    except ConfigurationError:
        return Access(key, own, f"{config} cannot be written")


def _opens(house: House, key: str | None, user_id: UUID) -> bool:
    if key is None:
        return False
    try:
        return house.api(Credentials(token=key)).auth.me().id == user_id
    except LumlError:  # unknown, expired, or for something else
        return False


def _new_key(house: House, user_id: UUID) -> str:
    api = house.api(Credentials(user_id=user_id))
    for key in api.api_keys.list():
        if key.name == KEY_NAME:
            api.api_keys.delete(key.id)
    return api.api_keys.create(name=KEY_NAME).key
