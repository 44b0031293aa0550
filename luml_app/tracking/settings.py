"""Where runs are kept, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def runs_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder that holds a folder for each run: ``LUML_RUNS_FOLDER``, else one of the user's own."""
    environment = os.environ if environment is None else environment
    if named := environment.get("LUML_RUNS_FOLDER"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("luml", appauthor=False) / "runs"


def is_offline(environment: Mapping[str, str] | None = None) -> bool:
    """Whether nothing shall be sent before `luml sync` is called: with ``LUML_OFFLINE``."""
    environment = os.environ if environment is None else environment
    return bool(environment.get("LUML_OFFLINE"))
