"""Workers: threads and connections of their own that look for work when they are woken, and when it is time."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod

from sqlalchemy.exc import SQLAlchemyError

from luml_app.core.db import Database
from luml_app.schemas.errors import LumlError

log = logging.getLogger(__name__)
FIRST_SECONDS = 60.0
"""What is to be done again and again begins so long after the first start: a server has better things to do then."""
LOOK_SECONDS = 30.0
"""How often to look without having been told: the net below notifications, and for what is due later."""


class Workers(ABC):
    """`start` and `stop` for a server; `run_due` for whoever wants it done now and to its end.

    `database` is theirs: they close it.
    """

    def __init__(self, name: str, database: Database, count: int) -> None:
        self.database = database
        self._bell = threading.Condition()
        self._rings = 0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]

    @abstractmethod
    def do_next(self) -> bool:
        """Do one piece of work; whether there was one."""

    @abstractmethod
    def until_next(self) -> float:
        """Seconds until there will be work; infinity when none is known of."""

    def plan(self, pause: float = 0.0) -> None:  # noqa: B027 - most have nothing to plan
        """Prepare work, before looking for it; what comes back again and again, for in `pause` seconds."""

    @property
    def stopping(self) -> bool:
        """Whether to come to an end."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at once: there may be work."""
        with self._bell:
            self._rings += 1
            self._bell.notify_all()

    def stop(self, seconds: float = 5.0) -> None:
        """End. What does not end within `seconds` is left to its lease, and done by somebody else's workers."""
        self._stopping.set()
        self.wake()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        self.database.close()

    def run_due(self) -> int:
        """Do what is due, in the caller's thread; how many pieces that were."""
        done = 0
        while self.do_next():
            done += 1
        return done

    def _work(self) -> None:
        while not self.stopping:
            heard, pause = self._rings, LOOK_SECONDS
            try:
                self.plan(FIRST_SECONDS)
                while not self.stopping and self.do_next():
                    pass
                pause = min(pause, self.until_next())
            except (LumlError, SQLAlchemyError) as error:
                log.warning("%s cannot look for work now: %s", threading.current_thread().name, error)
            self._rest(heard, pause)

    def _rest(self, heard: int, seconds: float) -> None:
        """Until somebody rings, or has rung since `heard`, or it is time to look again."""
        with self._bell:
            self._bell.wait_for(lambda: self._rings != heard or self.stopping, timeout=seconds)
