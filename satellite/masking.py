"""Takes the values of secrets out of texts: a second defence, for models that print what they should not."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"
SHORTEST = 4
"""Values shorter than this are not masked: they are parts of every other word."""
REMEMBERED = 10_000


class Masks:
    """The values that are hidden, also as they look in URLs, JSON and base64. For any number of threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, None] = {}
        self.forms: tuple[str, ...] = ()

    def learn(self, secret: str) -> None:
        """Hide this value from now on. A value that has been replaced stays hidden: something may still print it."""
        with self.lock:
            if secret in self.known:
                return
            self.known[secret] = None
            while len(self.known) > REMEMBERED:
                del self.known[next(iter(self.known))]
            self.forms = forms_of(self.known)

    def hide(self, text: str) -> str:
        """The text with `***` in place of every value."""
        return masked(text, self.forms)


def masked(text: str, forms: Iterable[str]) -> str:
    """The text with `***` in place of what `forms_of` gave."""
    for form in forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """These values in all the ways in which they may be printed, the longest first."""
    return tuple(sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True))


def _forms(secret: str) -> set[str]:
    """A value as it may be printed. Of a value of several lines (a key file) every line counts."""
    lines = {line.strip() for line in secret.splitlines()}
    plain = {secret.strip(), *(line for line in lines if len(line) >= 2 * SHORTEST)}
    encoded = {form for one in plain for form in (quote(one, safe=""), json.dumps(one)[1:-1])}
    encoded.add(base64.b64encode(secret.encode()).decode().rstrip("="))
    return {form for form in plain | encoded if len(form) >= SHORTEST}
