"""How much a deployment may have kept per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

BYTES_PER_SECOND = 256 * 1024
BURST = 4 * 1024 * 1024


@dataclass
class Budget:
    """A bucket of bytes that fills steadily: bursts are kept whole, a flood is not."""

    rate: float = BYTES_PER_SECOND
    burst: float = BURST
    clock: Callable[[], float] = time.monotonic
    left: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.at = self.burst, self.clock()

    def take(self, size: int) -> bool:
        """Take so many bytes; whether there is something left."""
        now = self.clock()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate) - size
        self.at = now
        return self.left > 0

    def seconds_to_fill(self, share: float = 0.05) -> float:
        """Until a share of a burst may be kept again."""
        return max(0.0, (self.burst * share - self.left) / self.rate)
