"""Stores of lists that the registry gives page by page."""

from __future__ import annotations

from typing import Any

import param

from luml_widgets.board import Store


class PagedStore(Store):
    """One page of a list. A page is reached by the cursors of those before it, so `page` moves by one at a time.

    Subclasses say in `ask` how to get a page: an object with `items` and `cursor`.
    """

    rows = param.List(doc="The objects of this page.")
    page = param.Integer(default=0, bounds=(0, None), doc="From 0.")
    limit = param.Integer(default=25, bounds=(1, 100), doc="Objects on a page.")
    has_more = param.Boolean(default=False, doc="Whether there is a next page.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, **params: Any) -> None:
        super().__init__(api, organization_id, orbit_id, **params)
        self._cursors: list[str | None] = [None]

    def ask(self, cursor: str | None, limit: int) -> Any:
        """The page that follows `cursor`."""
        raise NotImplementedError

    def fetch(self) -> dict[str, Any]:
        """This page."""
        page = min(self.page, len(self._cursors) - 1)
        answer = self.ask(self._cursors[page], self.limit)
        self._cursors[page + 1 :] = [answer.cursor] if answer.cursor else []
        return {"rows": answer.items, "has_more": answer.cursor is not None, "page": page}

    def show(self, **changes: Any) -> None:
        """Change what is asked for, and load the first page of it."""
        self._cursors = [None]
        self.param.update(**changes, page=0)
        self.load()

    def turn(self, pages: int) -> None:
        """Go to the next (1) or the previous (-1) page, where there is one."""
        page = self.page + pages
        if 0 <= page < len(self._cursors):
            self.page = page
            self.load()

    @property
    def pager(self) -> dict[str, Any] | None:
        """Where we are, for `blocks.bar`; None when all fits on one page."""
        if self.page == 0 and not self.has_more:
            return None
        first = self.page * self.limit
        label = f"{first + 1} to {first + len(self.rows)}" if self.rows else "nothing here"
        return {"label": label, "back": self.page > 0, "forth": self.has_more}
