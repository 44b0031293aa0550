"""Lists that come in pages, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from luml_app.schemas.fields import Page


def pages(fetch: Callable[[str | None], Page[Any]]) -> Iterator[Any]:
    """The items of all pages."""
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page.items
        if (cursor := page.cursor) is None:
            return
