"""Curves of metrics, thinned out to what a screen can show.

A screen has some thousand columns of pixels. Of each column's worth of steps the lowest and the highest value are
enough to draw the very same line (min-max decimation), and a run of a million points becomes a few kilobytes.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

CURVES = "curves.json"
"""Member of an experiment's archive with a thinned curve per metric: read by one range request, to show a run at once.
"""

BUCKETS = 500
_MANY_METRICS = 2_000
"""A run with more metrics than these has thinned curves of the first ones only: the rest stands in its database."""

_POINTS = "FROM dynamic_metrics WHERE key = :key AND step BETWEEN :first AND :last"
_BOUNDS = f"SELECT min(step), max(step), count(*) {_POINTS}"
_ALL = f"SELECT step, value {_POINTS} ORDER BY step"
# With one min() or max(), SQLite takes the other columns from the row that has it.
_LOWEST = f"SELECT step, min(value) {_POINTS} AND value IS NOT NULL GROUP BY (step - :first) / :width"
_HIGHEST = f"SELECT step, max(value) {_POINTS} AND value IS NOT NULL GROUP BY (step - :first) / :width"
_UNDEFINED = f"SELECT min(step), NULL {_POINTS} AND value IS NULL GROUP BY (step - :first) / :width"
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def curve(
    database: sqlite3.Connection,
    key: str,
    *,
    buckets: int = BUCKETS,
    first: int | None = None,
    last: int | None = None,
) -> tuple[list[int], list[float]]:
    """Steps and values of one metric, from the step `first` to the step `last`, both included.

    More than ``2 * buckets`` points are thinned out: of as many spans of equal length the lowest and the highest value
    are kept, each at its own step, so that no peak is lost. NaN and infinities are kept, too.
    """
    low, high = (_SMALLEST if first is None else first), (_LARGEST if last is None else last)
    asked: dict[str, Any] = {"key": key, "first": low, "last": high}
    low, high, count = database.execute(_BOUNDS, asked).fetchone()
    if count <= 2 * buckets:
        points = database.execute(_ALL, asked).fetchall()
    else:
        asked |= {"first": low, "last": high, "width": (high - low) // buckets + 1}
        points = _thinned(database, asked)
    return [step for step, _ in points], [_number(value) for _, value in points]


def metric_names(database: sqlite3.Connection) -> list[str]:
    """The metrics that were logged, in alphabetical order, found by jumping from one to the next in the index."""
    names = [row[0] for row in database.execute("SELECT min(key) FROM dynamic_metrics")]
    while names[-1] is not None:
        names += [row[0] for row in database.execute("SELECT min(key) FROM dynamic_metrics WHERE key > ?", names[-1:])]
    return names[:-1]


def all_curves(database: sqlite3.Connection, buckets: int = BUCKETS) -> dict[str, Any]:
    """A thinned curve of every metric: ``{"metrics": {name: {"steps": […], "values": […], "points": 1000000}}}``."""
    found = {}
    for name in metric_names(database)[:_MANY_METRICS]:
        steps, values = curve(database, name, buckets=buckets)
        (points,) = database.execute("SELECT count(*) FROM dynamic_metrics WHERE key = ?", (name,)).fetchone()
        found[name] = {"steps": steps, "values": values, "points": points}
    return {"schema_version": 1, "metrics": found}


def _number(value: Any) -> float:
    """NULL is NaN, which SQLite has no word for; what others have written that is no number at all is NaN, too."""
    return float(value) if isinstance(value, int | float) else math.nan


def _thinned(database: sqlite3.Connection, asked: dict[str, Any]) -> list[tuple[int, float | None]]:
    kept = {row for statement in (_LOWEST, _HIGHEST, _UNDEFINED) for row in database.execute(statement, asked)}
    return sorted(kept, key=lambda point: point[0])
