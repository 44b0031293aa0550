"""Hands the database's notifications on to whoever waits in this process: long polls and live screens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec

from luml_app.core.events import Notice

log = logging.getLogger(__name__)
Subscriber = Callable[[Notice], None]
MISSED = Notice(action="")
"""Something may have been missed: the connection to the database was lost for a while."""


class Hub:
    """Notices fan out here. All methods but `receive` belong to the event loop's thread."""

    def __init__(self) -> None:
        self._subscribers: dict[int, Subscriber] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on this loop."""
        self._loop = loop

    def receive(self, payload: str) -> None:
        """Take a notification from the listener's thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed in this very moment: nobody waits any more
                loop.call_soon_threadsafe(self.publish, self._read(payload))

    def publish(self, notice: Notice) -> None:
        """Tell every subscriber."""
        for subscriber in list(self._subscribers.values()):
            try:
                subscriber(notice)
            except Exception:
                log.exception("A subscriber failed on %s", notice)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every notice, until the returned function is called."""
        self._subscribers[id(subscriber)] = subscriber
        return lambda: self._subscribers.pop(id(subscriber), None) and None

    @contextmanager
    def waiting(self, prefix: str) -> Iterator[Waiter]:
        """A waiter for notices whose action starts with `prefix`."""
        waiter = Waiter(prefix)
        stop = self.subscribe(waiter.hear)
        try:
            yield waiter
        finally:
            stop()

    @staticmethod
    def _read(payload: str) -> Notice:
        try:
            return msgspec.json.decode(payload, type=Notice) if payload else MISSED
        except msgspec.MsgspecError:
            return MISSED


class Waiter:
    """Waits for a notice about one satellite.

    Who waits knows its satellite only from its first answer. What was heard before that is kept, so that nothing
    falls between the first look and the waiting.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._heard: set[UUID | None] = set()
        self._satellite: UUID | None = None
        self._event = asyncio.Event()

    def hear(self, notice: Notice) -> None:
        """Take a notice."""
        if notice is MISSED:
            self._event.set()
        elif notice.action.startswith(self._prefix):
            self._heard.add(notice.satellite_id)
            self._wake()

    async def wait(self, satellite: UUID | None, seconds: float) -> None:
        """Until something is heard about `satellite`, at most so long."""
        self._satellite = satellite
        self._wake()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
        self._heard.clear()

    def _wake(self) -> None:
        if self._satellite is not None and self._satellite in self._heard:
            self._event.set()
