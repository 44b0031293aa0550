"""Where the server is and what opens it: arguments, then the environment, then the config file."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from luml_app.schemas.errors import ConfigurationError

DEFAULT_ADDRESS = "http://127.0.0.1:5010"


@dataclass(frozen=True)
class Connection:
    """An address and an API key, and `source`, which says for each where it came from."""

    address: str
    api_key: str | None
    source: dict[str, str]


def config_path(environment: Mapping[str, str] | None = None) -> Path:
    """The config file: ``LUML_CONFIG_FILE``, else ``~/.config/luml/config.toml``."""
    environment = os.environ if environment is None else environment
    named = environment.get("LUML_CONFIG_FILE")
    return Path(named) if named else Path.home() / ".config" / "luml" / "config.toml"


def find_connection(
    address: str | None = None, api_key: str | None = None, environment: Mapping[str, str] | None = None
) -> Connection:
    """Find address and key: argument, ``LUML_ADDRESS`` / ``LUML_API_KEY``, config file, default.

    The key of the config file goes to the address of the config file and nowhere else. An `api_key` of "" means none.
    Raises ConfigurationError when the config file cannot be read, or address or key cannot be what they claim to be.
    """
    environment = os.environ if environment is None else environment
    path = config_path(environment)
    stored = _read(path)
    where, whence = _first(
        (address, "argument"),
        (environment.get("LUML_ADDRESS"), "LUML_ADDRESS"),
        (stored.get("address"), str(path)),
        (DEFAULT_ADDRESS, "default"),
    )
    where = _checked_address(where or DEFAULT_ADDRESS, whence)
    kept = stored.get("api_key") if where == stored.get("address", where).rstrip("/") else None
    key, source = (
        (None, "argument")
        if api_key == ""
        else _first(
            (api_key, "argument"),
            (environment.get("LUML_API_KEY"), "LUML_API_KEY"),
            (kept, str(path)),
            (None, "default"),
        )
    )
    return Connection(where, _checked_key(key, source), {"address": whence, "api_key": source})


def progress_wanted() -> bool:
    """Whether progress may be shown: not with ``LUML_NO_PROGRESS``."""
    return not os.environ.get("LUML_NO_PROGRESS")


def cache_folder() -> Path:
    """Where transfers keep what they go on with, and what they have fetched: ``LUML_CACHE_FOLDER``, else the usual one
    of the platform.
    """
    import platformdirs

    named = os.environ.get("LUML_CACHE_FOLDER")
    return Path(named) if named else platformdirs.user_cache_path("luml")


def cache_bytes() -> int:
    """How much of what was fetched is kept: ``LUML_CACHE_GIB``, 10 by default. Raises ConfigurationError."""
    told = os.environ.get("LUML_CACHE_GIB") or "10"
    try:
        if 0 <= (size := float(told)) < 1e6:
            return int(size * 1024**3)
    except ValueError:
        pass
    raise ConfigurationError(f"LUML_CACHE_GIB is {told!r}; it must be a number of GiB, 0 to keep nothing.")


def save_connection(address: str, api_key: str, path: Path | None = None) -> Path:
    """Write the config file, readable by its owner only, all of it or nothing.

    Raises ConfigurationError when it cannot be written.
    """
    path = path or config_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"address = {json.dumps(address)}\napi_key = {json.dumps(api_key)}\n")
            Path(draft).replace(path.resolve())  # a config file that is a link stays one
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The config file {path} cannot be written ({error.strerror}); name another with LUML_CONFIG_FILE."
        ) from error
    return path


def _first(*places: tuple[str | None, str]) -> tuple[str | None, str]:
    """The first value there is, and where it came from; the last place's if there is none."""
    return next(((value.strip(), where) for value, where in places if value and value.strip()), places[-1])


def _checked_address(address: str, source: str) -> str:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not address.isprintable():
        raise ConfigurationError(
            f"{address!r} (from {source}) is not the address of a server; it looks like {DEFAULT_ADDRESS}."
        )
    return address.rstrip("/")


def _checked_key(key: str | None, source: str) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigurationError(f"The API key from {source} holds characters that no key has; copy it again.")
    return key


def _read(path: Path) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in tomllib.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The config file {path} cannot be read: {error}. Mend or delete it.") from error
