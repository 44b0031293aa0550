"""Requests over which a model server has died. Each of those that it had in hand may be the one that killed it, and
would kill the next one: they are asked once more, one after the other, each alone with a model server that is well.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LOOK_AGAIN_SECONDS = 0.05
# For so long a request waits for others to leave the model server that it is to have for itself.
EMPTYING_SECONDS = 2.0


class Quarantine:
    """Whose turn it is to be alone, by deployment, and with which model servers (their addresses) somebody is."""

    def __init__(self, in_hand: Counter[str]) -> None:
        self.in_hand = in_hand
        self.turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.reserved: set[str] = set()

    @asynccontextmanager
    async def turn(self, deployment_id: str) -> AsyncIterator[None]:
        """One after the other. All other requests have their chance before the next one."""
        async with self.turns[deployment_id]:
            yield
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    @asynccontextmanager
    async def alone_with(self, url: str) -> AsyncIterator[None]:
        """Have a model server for oneself, when those who are with it have gone."""
        self.reserved.add(url)
        try:
            for _ in range(int(EMPTYING_SECONDS / LOOK_AGAIN_SECONDS)):
                if not self.in_hand[url]:
                    break
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            yield
        finally:
            self.reserved.discard(url)

    def forget(self, deployment_id: str) -> None:
        """The deployment is not served here any more."""
        if deployment_id in self.turns and not self.turns[deployment_id].locked():
            del self.turns[deployment_id]
