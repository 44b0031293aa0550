"""The kept lines of a deployment as newline-delimited JSON, and those to come; knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from satellite.logs import reading
from satellite.logs.kept import stamp
from satellite.logs.reading import Cursor, Found, Wanted

NDJSON = b"application/x-ndjson"
POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 15.0
MOST = 100_000
FOLLOWERS = 64
PER_DEPLOYMENT = 16


class NotUnderstood(Exception):  # noqa: N818
    """A parameter that is none; the message names it and says what it should be."""


class TooManyFollow(Exception):  # noqa: N818
    """So many follow already that another one would be at the expense of the models' callers."""


@dataclass(frozen=True)
class Question:
    """What somebody wants to read. `tail`: the last so many lines; `after`: those after this place."""

    wanted: Wanted
    tail: int | None = None
    after: Cursor | None = None
    follow: bool = False


def parse_question(given: Mapping[str, str]) -> Question:
    """A question from the parameters of a request; raises NotUnderstood."""
    wanted = Wanted(_time(given, "since"), given.get("revision", ""), _whole(given, "replica"))
    follow = given.get("follow", "").lower() in {"1", "true", "yes"}
    return Question(wanted, _whole(given, "tail"), _cursor(given, "after"), follow)


class LogStreams:
    """The logs of all deployments under `root`, and who follows them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.following: Counter[str] = Counter()

    def has(self, deployment_id: str) -> bool:
        """Whether something is kept of the deployment."""
        return (self.root / deployment_id).is_dir()

    async def lines(self, deployment_id: str, question: Question, alive: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Blocks of lines; to one who follows, an empty line now and then as a sign of life.

        Following ends when `alive` says that the deployment is gone. Whoever reads slowly is waited for, and misses
        what is removed meanwhile.
        """
        folder, cursor = self.root / deployment_id, question.after or Cursor()
        if question.after is None and question.tail is not None:
            cursor = await asyncio.to_thread(reading.end, folder)
            found = await asyncio.to_thread(reading.tail, folder, question.tail, question.wanted)
            # A line that was written between the two questions comes with those after the cursor.
            yield _block([one for one in found if one[0] <= cursor])
        written = time.monotonic()
        while True:
            lives = alive()
            found, reached = await asyncio.to_thread(reading.after, folder, cursor, question.wanted)
            if found or time.monotonic() - written > HEARTBEAT_SECONDS:
                yield _block(found) or b"\n"
                written = time.monotonic()
            if reached == cursor:
                if not (question.follow and lives):
                    return
                await asyncio.sleep(POLL_SECONDS)
            cursor = reached

    @contextmanager
    def place(self, deployment_id: str, question: Question) -> Iterator[None]:
        """A place among those who follow, for as long as it lasts; raises TooManyFollow."""
        if not question.follow:
            yield
            return
        if self.following[deployment_id] >= PER_DEPLOYMENT or self.following.total() >= FOLLOWERS:
            raise TooManyFollow
        self.following[deployment_id] += 1
        try:
            yield
        finally:
            self.following[deployment_id] -= 1


def _block(found: Sequence[Found]) -> bytes:
    return b"".join(msgspec.json.encode(_shown(*one)) + b"\n" for one in found)


def _shown(cursor: Cursor, record: Any) -> dict[str, Any]:
    """A line as callers see it; with its `id` one can go on after it."""
    return {
        "id": str(cursor), "time": record.time, "revision": record.revision, "replica": record.replica,
        "stream": record.stream, "line": record.line,
    }  # fmt: skip


def _time(given: Mapping[str, str], name: str) -> str:
    text = given.get(name, "")
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NotUnderstood(f"{name}: {text[:40]!r} is not a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise NotUnderstood(f"{name}: say in which zone the time is, as in 2026-01-31T12:00:00Z")
    return stamp(moment)


def _whole(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= MOST):
        raise NotUnderstood(f"{name}: {text[:40]!r} is not a whole number from 0 to {MOST}")
    return int(text)


def _cursor(given: Mapping[str, str], name: str) -> Cursor | None:
    text = given.get(name, "")
    try:
        return reading.parse_cursor(text) if text else None
    except ValueError:
        raise NotUnderstood(f"{name}: {text[:40]!r} is not the id of a line") from None
