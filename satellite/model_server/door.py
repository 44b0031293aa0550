"""A door before the model server: where it listens on a network, only who knows a word may ask it anything."""

from __future__ import annotations

import hmac


class Door:
    """What comes to `/<word>/…` is meant for `/…`. Without a word the door is open."""

    def __init__(self, word: str = "") -> None:
        self.prefix = f"/{word}".encode() if word else b""

    def behind(self, path: bytes) -> bytes | None:
        """The path that is meant; None where the word is not known."""
        size = len(self.prefix)
        if not self.prefix:
            return path
        if path[size : size + 1] == b"/" and hmac.compare_digest(path[:size], self.prefix):
            return path[size:]
        return None

    def asked(self, head: bytes) -> bytes | None:
        """The head of a request with the path that is meant; None where the word is not known."""
        method, space, rest = head.partition(b" ")
        path = self.behind(rest)
        return None if path is None else method + space + path
