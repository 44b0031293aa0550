"""What the gateway counts, in the form that Prometheus reads.

Series are by deployment and revision, and go when these go: their number is bounded by what is served.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LABELS = ["deployment", "revision"]


@dataclass
class Series:
    """One revision of one deployment."""

    statuses: Counter[int] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    in_hand: int = 0
    retries: int = 0

    def note(self, seconds: float, status: int) -> None:
        """A request has been answered (0: not at all) after so long."""
        self.statuses[status] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Metrics(Collector):
    """All series, the requests that wait for each deployment, and refusals of the gateway itself by status."""

    def __init__(self, queues: Callable[[], dict[str, int]], held: Callable[[], int]) -> None:
        self.queues = queues
        self.held = held
        self.series: dict[str, dict[str, Series]] = defaultdict(dict)
        self.refusals: Counter[int] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def of(self, deployment: str, revision: str) -> Series:
        """The series of a revision."""
        revisions = self.series[deployment]
        if revision not in revisions:
            revisions[revision] = Series()
        return revisions[revision]

    def keep(self, served: dict[str, set[str]]) -> None:
        """Drop the revisions that are not served any more, and have no request in hand."""
        for deployment, revisions in list(self.series.items()):
            kept = served.get(deployment, set())
            for revision in [name for name, one in revisions.items() if name not in kept and not one.in_hand]:
                del revisions[revision]
            if not revisions:
                del self.series[deployment]

    def text(self) -> bytes:
        """For Prometheus."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """The families, as they are now."""
        requests = CounterMetricFamily(
            "luml_gateway_requests", "Requests answered by model servers", labels=[*LABELS, "status"]
        )
        errors = CounterMetricFamily("luml_gateway_errors", "Requests that failed (5xx, or no answer)", labels=LABELS)
        retries = CounterMetricFamily("luml_gateway_retries", "Requests passed to another model server", labels=LABELS)
        in_hand = GaugeMetricFamily("luml_gateway_in_hand", "Requests with a model server now", labels=LABELS)
        latency = HistogramMetricFamily("luml_gateway_seconds", "Seconds until a model server's answer", labels=LABELS)
        for labels, one in self.all_series():
            for status, count in one.statuses.items():
                requests.add_metric([*labels, str(status)], count)
            errors.add_metric(
                labels, sum(count for status, count in one.statuses.items() if status >= 500 or not status)
            )
            retries.add_metric(labels, one.retries)
            in_hand.add_metric(labels, one.in_hand)
            latency.add_metric(labels, cumulated(one.buckets), one.seconds)
        return [requests, errors, retries, in_hand, latency, *self.of_the_gateway()]

    def all_series(self) -> Iterator[tuple[list[str], Series]]:
        """Every series with its labels."""
        for deployment, revisions in self.series.items():
            for revision, one in revisions.items():
                yield [deployment, revision], one

    def of_the_gateway(self) -> Iterator[Metric]:
        """What belongs to no revision."""
        queue = GaugeMetricFamily(
            "luml_gateway_queue", "Requests in hand or waiting for a place", labels=["deployment"]
        )
        for deployment, count in self.queues().items():
            queue.add_metric([deployment], count)
        refusals = CounterMetricFamily("luml_gateway_refusals", "Requests that the gateway refused", labels=["status"])
        for status, count in self.refusals.items():
            refusals.add_metric([str(status)], count)
        yield from (queue, refusals)
        yield GaugeMetricFamily("luml_gateway_held_bytes", "Bytes of request bodies held", value=self.held())


def cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    """Counts by upper bound, each with all below it."""
    total, told = 0, []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
        total += count
        told.append((bound, float(total)))
    return told
