"""How large a document may be that comes back in lists: a page of them must fit into memory, and in many hands."""

from __future__ import annotations

from typing import Any

import msgspec

from luml_app.schemas.errors import Invalid

LISTED_BYTES = 256 * 1024
"""For what somebody writes once, as a manifest but for its bulk, which lists leave out."""
VALUES_BYTES = 1024 * 1024
"""For the metrics, or the parameters, of an artifact."""


def check_size(document: Any, field: str, most: int = LISTED_BYTES, remedy: str = "keep large things in files") -> None:
    """Raise Invalid for a document that takes more than `most` bytes as JSON."""
    size = len(msgspec.json.encode(document))
    if size > most:
        raise Invalid.field(field, f"This takes {size} bytes, and may take {most}; {remedy}.")
