"""Which satellite of this machine this is."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from satellite.model_server.files import write_whole


def instance_id(data: Path) -> str:
    """Eight digits that stay the same for a data folder: the owner in labels and names of what runs here."""
    path = data / "instance"
    with contextlib.suppress(OSError):
        return path.read_text()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, secrets.token_hex(4))
    return path.read_text()
