"""Remembers starts that came to nothing, so that a model that cannot run is not started over and over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 600.0


@dataclass
class Attempts:
    """Starts of each replica since it last served; the pause before the next one doubles from 2 s to 10 min."""

    started: dict[str, tuple[int, float]] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def may_start(self, key: str) -> bool:
        """Whether enough time has passed since the last start."""
        count, at = self.started.get(key, (0, 0.0))
        return count == 0 or self.clock() - at >= min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(count - 1, 20))

    def note_start(self, key: str) -> None:
        """One more start."""
        count, _ = self.started.get(key, (0, 0.0))
        self.started[key] = (count + 1, self.clock())

    def seconds_since(self, key: str) -> float:
        """Seconds since the last start, or since this question, if an earlier run of the satellite has started it."""
        _, at = self.started.setdefault(key, (0, self.clock()))
        return self.clock() - at

    def forget(self, key: str) -> None:
        """It serves, or it is gone, or somebody asked for it anew: the next start need not wait."""
        self.started.pop(key, None)
