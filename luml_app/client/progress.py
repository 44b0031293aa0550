"""Progress, where somebody watches: one line on a terminal, in a notebook only the end, else nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from luml_app.client.settings import progress_wanted

_EVERY = 0.1
_WIDTH = 24


def _watched() -> bool:
    return sys.stderr.isatty() and progress_wanted()


@contextmanager
def bytes_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for `total` bytes; call what is given with the bytes that have gone over since."""
    if not _watched():
        yield lambda _: None
        return
    done, shown = 0, 0.0

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        if time.monotonic() - shown > _EVERY:
            shown = time.monotonic()
            _show(f"{title}  {_bar(done / max(total, 1))}  {_megabytes(done)} of {_megabytes(total)}")

    try:
        yield advance
    finally:
        _show("")


@contextmanager
def waiting(title: str) -> Iterator[Callable[[str], None]]:
    """A line that says what is waited for, how it stands, and for how long."""
    if not _watched():
        yield lambda _: None
        return
    started = time.monotonic()
    try:
        yield lambda state: _show(f"{title}: {state} … {time.monotonic() - started:.0f} s")
    finally:
        _show("")


def _bar(share: float) -> str:
    full = min(_WIDTH, int(share * _WIDTH))
    return "█" * full + "░" * (_WIDTH - full)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _show(line: str) -> None:
    sys.stderr.write(f"\r\x1b[2K{line}")
    sys.stderr.flush()
