"""Where the server is and what opens it: arguments, then the environment, then the config file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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

    Raises ConfigurationError when the config file cannot be read.
    """
    environment = os.environ if environment is None else environment
    path = config_path(environment)
    stored = _read(path)
    source: dict[str, str] = {}

    def choose(name: str, argument: str | None, default: str | None) -> str | None:
        variable = f"LUML_{name.upper()}"
        places = ((argument, "argument"), (environment.get(variable), variable), (stored.get(name), str(path)))
        value, source[name] = next(((v, where) for v, where in places if v), (default, "default"))
        return value

    found = choose("address", address, DEFAULT_ADDRESS) or DEFAULT_ADDRESS
    return Connection(found.rstrip("/"), choose("api_key", api_key, None), source)


def progress_wanted() -> bool:
    """Whether progress may be shown: not with ``LUML_NO_PROGRESS``."""
    return not os.environ.get("LUML_NO_PROGRESS")


def save_connection(address: str, api_key: str, path: Path | None = None) -> Path:
    """Write the config file, readable by its owner only, all of it or nothing."""
    path = path or config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f'address = "{address}"\napi_key = "{api_key}"\n')
    draft.replace(path)
    return path


def _read(path: Path) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in tomllib.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The config file {path} cannot be read: {error}. Mend or delete it.") from error
