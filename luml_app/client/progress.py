"""Progress, where somebody watches: one line on a terminal, else nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size

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
    # One line: what does not fit would leave a line behind at each turn, and a name may hold anything.
    shown = "".join(c for c in line if c.isprintable())[: get_terminal_size().columns - 1]
    sys.stderr.write(f"\r\x1b[2K{shown}")
    sys.stderr.flush()
