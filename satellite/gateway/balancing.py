"""Which model server gets a request: the revisions share them by weight, a revision's replicas by what is in hand."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from satellite.gateway.routes import Backend, Route

DOWN_SECONDS = 1.0
"""How long a backend that did not answer is asked only after all others."""


class Balancer:
    """The turns of one gateway. Shares are exact, not drawn by lot: of 100 requests, 5 % means 5."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.credit: dict[str, dict[str, float]] = defaultdict(dict)
        self.down: dict[str, float] = {}

    def order(self, deployment_id: str, route: Route, in_hand: Mapping[str, int]) -> list[Backend]:
        """The backends to try for one request, the right one first."""
        serving = [backend for backend in route.backends if backend.weight and not backend.mirror]
        if len(serving) < 2:
            return serving
        revision = self.next_revision(deployment_id, serving)
        return sorted(
            serving,
            key=lambda backend: (self.is_down(backend.url), backend.revision != revision, in_hand.get(backend.url, 0)),
        )

    def next_revision(self, deployment_id: str, serving: list[Backend]) -> str:
        """Whose turn it is: every revision saves up its weight, the richest pays for all (smooth round robin)."""
        weights = {backend.revision: backend.weight for backend in serving}
        if len(weights) == 1:
            return next(iter(weights))
        saved = self.credit[deployment_id]
        credit = {revision: saved.get(revision, 0.0) + weight for revision, weight in weights.items()}
        chosen = max(credit, key=lambda revision: credit[revision])
        credit[chosen] -= sum(weights.values())
        self.credit[deployment_id] = credit
        return chosen

    def note_down(self, url: str) -> None:
        """It did not answer."""
        self.down[url] = self.clock() + DOWN_SECONDS

    def is_down(self, url: str) -> bool:
        """Whether it did not answer a moment ago."""
        if (until := self.down.get(url)) is None:
            return False
        if self.clock() < until:
            return True
        del self.down[url]
        return False

    def forget(self, deployment_id: str) -> None:
        """The deployment is not served here any more."""
        self.credit.pop(deployment_id, None)
