"""A page of the browser that is listened to: what it complains of, and whom it asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

HERE = {"127.0.0.1", "localhost"}


class Watched:
    """A page; `complaints` are errors in its console, `elsewhere` requests to other hosts than ours.

    `forgiving` is set where the test itself gives reason to complain."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.forgiving = False
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._see(request.url))

    def sees(self, text: str, within: str = "body", timeout: float = 30_000) -> Any:
        """Wait until this text is visible; the element."""
        found = self.page.locator(within).get_by_text(text).first
        found.wait_for(state="visible", timeout=timeout)
        return found

    def sees_title(self, text: str) -> None:
        """Wait until the screen has this title."""
        self.page.locator("h1", has_text=text).wait_for(state="visible", timeout=30_000)

    def goes_to(self, section: str) -> None:
        """Choose a section."""
        self.page.locator("nav a", has_text=section).click()

    def _hear(self, message: Any) -> None:
        if message.type == "error" and not self.forgiving:
            self.complaints.append(message.text)

    def _see(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in HERE:
            self.elsewhere.append(url)
