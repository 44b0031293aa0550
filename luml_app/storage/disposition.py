"""The name under which a browser saves a download."""

from __future__ import annotations

import re
from urllib.parse import quote

_UNSAFE_IN_HEADER = re.compile(r'[^ -~]|["\\]')


def attachment(filename: str) -> str:
    """A `Content-Disposition` by which browsers save a download as `filename`, whatever characters it has."""
    name = filename.encode(errors="replace").decode()
    plain = _UNSAFE_IN_HEADER.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
