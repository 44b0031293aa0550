"""How many requests of a deployment are with its model servers at once; the others wait in their order."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """A number of places, which may change. Taken with `async with`."""

    def __init__(self) -> None:
        self.limit = 1
        self.taken = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, limit: int) -> None:
        """Have so many places from now on."""
        self.limit = limit
        self.admit()

    async def __aenter__(self) -> None:
        if self.taken < self.limit and not self.waiting:
            self.taken += 1
            return
        place = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        self.admit()
        try:
            await place
        except asyncio.CancelledError:
            # The place may have come at the same moment; then it is the next one's.
            if place.done() and not place.cancelled():
                self.leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Free one place."""
        self.taken -= 1
        self.admit()

    def admit(self) -> None:
        """Give free places to those who wait."""
        while self.waiting and self.taken < self.limit:
            place = self.waiting.popleft()
            if not place.done():
                self.taken += 1
                place.set_result(None)
