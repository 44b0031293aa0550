"""Who may call: API keys, asked of the platform once in a while and remembered as hashes only."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

YES_SECONDS = 60.0
NO_SECONDS = 5.0
REMEMBERED = 10_000


class PlatformSilent(Exception):  # noqa: N818
    """The platform cannot be asked, and what is remembered of the key is too old or nothing."""


@dataclass(frozen=True)
class Verdict:
    """What the platform said of a key, and when (monotonic seconds)."""

    allowed: bool
    at: float

    def fresh(self, now: float) -> bool:
        """Whether the platform need not be asked again."""
        return now - self.at < (YES_SECONDS if self.allowed else NO_SECONDS)


class Access:
    """Remembers verdicts: a yes for 60 s, a no for 5 s, and a yes for `stale_seconds` while the platform is away."""

    def __init__(self, ask: Callable[[str], Awaitable[bool]], stale_seconds: float) -> None:
        self.ask = ask
        self.stale_seconds = stale_seconds
        self.salt = secrets.token_bytes(16)
        self.verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self.asking: dict[bytes, asyncio.Task[bool]] = {}

    async def allows(self, key: str) -> bool:
        """Whether the key may call; raises PlatformSilent."""
        digest = hashlib.blake2b(key.encode(), key=self.salt, digest_size=16).digest()
        verdict = self.verdicts.get(digest)
        if verdict and verdict.fresh(time.monotonic()):
            return verdict.allowed
        # A burst with one new key asks once.
        if digest not in self.asking:
            self.asking[digest] = asyncio.ensure_future(self.asked(digest, key))
        return await asyncio.shield(self.asking[digest])

    async def asked(self, digest: bytes, key: str) -> bool:
        """Ask the platform; where it is away, a remembered yes that is not too old stands."""
        try:
            allowed = await self.ask(key)
        except PlatformSilent:
            verdict = self.verdicts.get(digest)
            if verdict and verdict.allowed and time.monotonic() - verdict.at < self.stale_seconds:
                return True
            raise
        finally:
            self.asking.pop(digest, None)
        self.verdicts[digest] = Verdict(allowed, time.monotonic())
        self.verdicts.move_to_end(digest)
        while len(self.verdicts) > REMEMBERED:
            self.verdicts.popitem(last=False)
        return allowed
