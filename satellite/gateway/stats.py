"""How each revision has done lately: requests, errors and latencies over a sliding window, kept in a few numbers."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

SLICE_SECONDS = 5.0
SLICES = 24
_FASTEST = 0.001
_STEP = 1.25


class Summary(msgspec.Struct, frozen=True):
    """One revision over the window (two minutes): how many requests, how many of them failed, and the 50th and 95th
    percentile of their latency in seconds, each to within a quarter.
    """

    requests: int = 0
    errors: int = 0
    p50: float = 0.0
    p95: float = 0.0


@dataclass
class Slice:
    """Five seconds: counts, and latencies by the exponent of their bucket."""

    begins: float
    requests: int = 0
    errors: int = 0
    latencies: dict[int, int] = field(default_factory=dict)


class Window:
    """The recent past of one revision."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.slices: deque[Slice] = deque(maxlen=SLICES)

    def note(self, seconds: float, *, failed: bool) -> None:
        """One request has been answered, or has failed, after so long."""
        now = self.clock()
        if not self.slices or now - self.slices[-1].begins >= SLICE_SECONDS:
            self.slices.append(Slice(now))
        current = self.slices[-1]
        current.requests += 1
        current.errors += failed
        bucket = _bucket(seconds)
        current.latencies[bucket] = current.latencies.get(bucket, 0) + 1

    def summary(self) -> Summary:
        """The window in four numbers."""
        since = self.clock() - SLICE_SECONDS * SLICES
        recent = [one for one in self.slices if one.begins >= since]
        counts: dict[int, int] = {}
        for one in recent:
            for bucket, count in one.latencies.items():
                counts[bucket] = counts.get(bucket, 0) + count
        requests, errors = sum(one.requests for one in recent), sum(one.errors for one in recent)
        return Summary(requests, errors, _percentile(counts, requests, 0.5), _percentile(counts, requests, 0.95))


def _bucket(seconds: float) -> int:
    """The exponent of the smallest step, of a quarter each from a millisecond on, that holds so long a time."""
    return max(0, math.ceil(math.log(max(seconds, _FASTEST) / _FASTEST, _STEP) - 1e-9))


def _percentile(counts: dict[int, int], total: int, share: float) -> float:
    """The upper end of the bucket in which that share of all lies at or below."""
    needed = math.ceil(total * share)
    for bucket in sorted(counts):
        needed -= counts[bucket]
        if needed <= 0:
            return _FASTEST * _STEP**bucket
    return 0.0
