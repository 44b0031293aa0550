"""Values as people read them. Zero, false, not-a-number and missing are four different things."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

DASH = "\u2013"
_MINUS = "\u2212"
MISSING: dict[str, Any] = {"missing": True}
"""A cell for a value that is not there; it shows a dash and says so."""


def number(value: float, digits: int = 4) -> str:
    """A number in at most so many significant digits after the point, with thin groups of thousands.

    >>> number(0.93481), number(12345.0), number(0.0000123), number(3)
    ('0.9348', '12,345', '1.23e-05', '3')
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    sign, size = (_MINUS if value < 0 else ""), abs(value)
    if size == int(size) and size < 1e15:
        return f"{sign}{int(size):,}"
    if size < 10**-digits or size >= 1e15:
        return f"{sign}{size:.3g}"
    return f"{sign}{size:,.{digits if size < 100 else 2}f}"


def decimals_for(values: Iterable[Any]) -> int:
    """How many decimals make a column of numbers readable: four significant digits of the largest, none for nothing.

    >>> decimals_for([0.1234567, 0.5]), decimals_for([57.8, 856.4]), decimals_for([1, 2]), decimals_for([])
    (4, 1, 0, 0)
    """
    finite = [abs(value) for value in values if is_finite(value)]
    if not finite:
        return 0
    largest = max(finite)
    most = 4 if largest < 10 else 2 if largest < 100 else 1
    return next((d for d in range(most) if all(abs(round(v, d) - v) < 10**-9 for v in finite)), most)


def aligned(value: Any, decimals: int) -> Any:
    """A cell for a number in a column of numbers, with the decimals of the column."""
    if not is_finite(value) or abs(value) < 10**-4 or abs(value) >= 1e9:
        return plain(value)
    return {"text": f"{value:,.{decimals}f}".replace("-", _MINUS), "title": repr(value)}


def plain(value: Any) -> str | dict[str, Any]:
    """A cell for any value of a document: text, number, truth value, list, or nothing."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return {"text": number(value), "title": repr(value)}
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return {"tags": value} if value else MISSING
    return str(value) or {"text": "(empty)", "quiet": True}


def size(count: int) -> dict[str, Any]:
    """A cell for a number of bytes, in powers of 1000; the exact number on hover."""
    return {"text": bytes_text(count), "title": f"{count:,} bytes"}


def bytes_text(count: float) -> str:
    """So many bytes, in three significant digits.

    >>> bytes_text(0), bytes_text(999), bytes_text(1234567), bytes_text(25.4e9)
    ('0 B', '999 B', '1.23 MB', '25.4 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.{max(0, 2 - len(str(int(count))) + 1)}f} {unit}"


def moment(when: datetime | None) -> dict[str, Any]:
    """A cell for a point in time: relative, with the exact one on hover."""
    return MISSING if when is None else {"time": when.isoformat()}


def identifier(value: Any, label: str = "id") -> dict[str, Any]:
    """A cell for an id or a digest: short, with a button that copies all of it."""
    return {"copy": str(value), "label": label}


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "artifact"), plural(1200, "artifact")
    ('1 artifact', '1,200 artifacts')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


STATUS_TONES = {
    "active": "good",
    "uploaded": "good",
    "pending": "info",
    "pending_upload": "info",
    "deletion_pending": "idle",
    "pending_deletion": "idle",
    "inactive": "idle",
    "stopped": "idle",
    "rolling_out": "info",
    "not_responding": "warn",
    "failed": "bad",
    "error": "bad",
    "upload_failed": "bad",
    "deletion_failed": "bad",
}


def settled(name: str, why: str | None = None) -> dict[str, Any]:
    """A status of which the good case needs no colour: only exceptions shall catch the eye."""
    return {"text": name.replace("_", " "), "quiet": True} if STATUS_TONES.get(name) == "good" else status(name, why)


def status(name: str, why: str | None = None) -> dict[str, Any]:
    """A cell for a status, in words and a tone; `why` on hover."""
    return {"status": name.replace("_", " "), "tone": STATUS_TONES.get(name, "idle"), "title": why}


def is_finite(value: Any) -> bool:
    """Whether this is a number with which one can reckon; truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
