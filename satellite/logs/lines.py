"""From bytes to lines that can be shown: whatever a model prints, a line is a bounded text without control codes."""

from __future__ import annotations

import re

LONGEST = 8 * 1024
"""Characters of a line that are kept."""
ASSEMBLED = 64 * 1024
"""Bytes of a line that are looked at. Secrets are masked before a line is cut, so none is cut in two."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Lines:
    """Puts lines together from pieces of one stream, holding no more than `ASSEMBLED` bytes."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.dropped = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends; what is too long is cut."""
        *ended, rest = piece.split(b"\n")
        lines = []
        for end in ended:
            self._hold(end)
            lines.append(self.take())
        self._hold(rest)
        return lines

    def take(self) -> bytes:
        """What is held, as a line."""
        line = bytes(self.held)
        self.held.clear()
        if self.dropped:
            line += f" … ({self.dropped} bytes more)".encode()
        self.dropped = 0
        return line

    def _hold(self, piece: bytes) -> None:
        room = ASSEMBLED - len(self.held)
        self.held += piece[:room]
        self.dropped += max(0, len(piece) - room)


def shown(line: bytes) -> str:
    """A line as text: no colours, of a progress bar its last state, no codes that would command a terminal."""
    text = line.decode(errors="replace").rstrip("\r\n")
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def cut(text: str) -> str:
    """At most `LONGEST` characters of a line, and how many more there were."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} characters more)"
