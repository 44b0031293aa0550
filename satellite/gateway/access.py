"""Who may call: API keys, asked of the platform once in a while and remembered as hashes only."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Literal

Purpose = Literal["inference", "logs"]
NO_SECONDS = 5.0
REMEMBERED = 10_000
# A key that was good is not kept waiting for longer while the platform thinks.
PATIENCE_SECONDS = 0.5
# After the platform has been silent, keys that were good are let through for so long without asking.
SILENCE_SECONDS = 5.0


class PlatformSilent(Exception):  # noqa: N818
    """The platform cannot be asked, and what is remembered of the key is too old or nothing."""


class Memory:
    """When each of the last keys was decided on (monotonic seconds), by their hashes."""

    def __init__(self) -> None:
        self.times: OrderedDict[bytes, float] = OrderedDict()

    def note(self, digest: bytes) -> None:
        """It was decided now; whoever was decided on longest ago is forgotten if there are too many."""
        self.times[digest] = time.monotonic()
        self.times.move_to_end(digest)
        if len(self.times) > REMEMBERED:
            self.times.popitem(last=False)

    def within(self, digest: bytes, seconds: float) -> bool:
        """Whether it was decided so lately."""
        at = self.times.get(digest)
        return at is not None and time.monotonic() - at < seconds


class Access:
    """Remembers verdicts: a yes for `fresh_seconds`, a no for 5 s, and a yes for `stale_seconds` while the platform is
    away. Good and bad keys are remembered apart, so that no flood of bad ones makes good ones forgotten.
    """

    def __init__(self, ask: Callable[[str], Awaitable[bool]], fresh_seconds: float, stale_seconds: float) -> None:
        self.ask = ask
        self.fresh_seconds = fresh_seconds
        self.stale_seconds = stale_seconds
        self.salt = secrets.token_bytes(16)
        self.good, self.bad = Memory(), Memory()
        self.asking: dict[bytes, asyncio.Task[bool]] = {}
        self.silent_until = 0.0

    async def allows(self, key: str) -> bool:
        """Whether the key may call; raises PlatformSilent."""
        digest = hashlib.blake2b(key.encode(), key=self.salt, digest_size=16).digest()
        if self.good.within(digest, self.fresh_seconds):
            return True
        if self.bad.within(digest, NO_SECONDS):
            return False
        was_good = self.good.within(digest, self.stale_seconds)
        if was_good and time.monotonic() < self.silent_until:
            return True
        # A burst with one key asks once.
        if digest not in self.asking:
            self.asking[digest] = asyncio.ensure_future(self.asked(digest, key))
            self.asking[digest].add_done_callback(heard)
        task = self.asking[digest]
        if was_good:
            return await self.answer_or_old_yes(task)
        return await asyncio.shield(task)

    async def answer_or_old_yes(self, task: asyncio.Task[bool]) -> bool:
        """What the platform says, if it says something soon; a platform that hangs must not hold up models."""
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return task.result() if done and task.exception() is None else True

    async def asked(self, digest: bytes, key: str) -> bool:
        """Ask the platform, and remember."""
        try:
            allowed = await self.ask(key)
        except PlatformSilent:
            self.silent_until = time.monotonic() + SILENCE_SECONDS
            raise
        finally:
            self.asking.pop(digest, None)
        (self.good if allowed else self.bad).note(digest)
        if not allowed:
            self.good.times.pop(digest, None)
        return allowed


def heard(task: asyncio.Task[bool]) -> None:
    """Take note of how it ended: by then perhaps nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
