"""Types made safe for threads.

msgspec looks at a struct when it is decoded for the first time, and keeps what it finds on the class before it is
complete. A second thread that decodes the same type in that moment ends the whole process (a segmentation fault; seen
with msgspec 0.22). So each type is looked at under one lock before threads may meet it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

import msgspec

Kind = TypeVar("Kind")

_lock = threading.Lock()
_settled: set[object] = set()


def settled(kind: type[Kind]) -> type[Kind]:
    """The type itself, which any number of threads may decode from now on."""
    if kind not in _settled:
        with _lock:
            msgspec.json.Decoder(kind)
            _settled.add(kind)
    return kind


def settle_structs() -> None:
    """Settle every struct that has been imported. For a program that is about to start threads."""
    for kind in set(_below(msgspec.Struct)):
        settled(kind)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)
