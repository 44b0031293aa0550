"""What an operation must ask somebody else, who answers when they like: outside of its transaction and its thread.

An operation that gets to such a question raises it (`Scope.ask`). Its transaction is rolled back and its thread goes on
to other requests; a crowd of other threads asks, with a share for each tenant, so that one tenant's silent bucket is
nobody else's trouble. The answer at hand, the operation runs once more, from the look for its objects on.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from luml_app.schemas.errors import Unavailable

Purpose = Literal["look", "probe", "visit"]
LOOKS_AT_ONCE = 2
PROBES_AT_ONCE = 1
VISITS_AT_ONCE = 4
PATIENCE = 30.0
"""Seconds after which a question that is still waiting for its turn is not asked any more."""


class _Unasked:
    """No answer yet; None may be one."""


UNASKED = _Unasked()


class Question(Exception):  # noqa: N818 - nothing has failed
    """An operation cannot go on without an answer from elsewhere."""

    def __init__(self, whose: Hashable, purpose: Purpose, ask: Callable[[], Any]) -> None:
        super().__init__("this has to be asked outside of the transaction")
        self.whose = whose
        self.purpose = purpose
        self.ask = ask


@dataclass(frozen=True, eq=False)
class _Waiting:
    ask: Callable[[], Any]
    answer: Future[Any]
    since: float


class Crowd:
    """`size` threads that ask; at most `share` of them for one tenant, of whose questions `queue` more may wait."""

    def __init__(self, name: str, *, size: int, share: int, queue: int, busy: str) -> None:
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=f"luml-{name}")
        self._share = share
        self._queue = queue
        self._busy = busy
        self._lock = threading.Lock()
        self._running: dict[Hashable, int] = defaultdict(int)
        self._waiting: dict[Hashable, deque[_Waiting]] = defaultdict(deque)

    def ask(self, whose: Hashable, ask: Callable[[], Any]) -> Future[Any]:
        """The answer to come. Raises `Unavailable` when too many of the same tenant wait already."""
        one = _Waiting(ask, Future(), time.monotonic())
        with self._lock:
            if self._running[whose] < self._share:
                self._running[whose] += 1
                self._threads.submit(self._run, whose, one)
            elif len(self._waiting[whose]) < self._queue:
                self._waiting[whose].append(one)
            else:
                raise self._refusal()
        return one.answer

    def close(self) -> None:
        """Refuse what waits; what is being asked ends by itself."""
        with self._lock:
            waiting = [one for queue in self._waiting.values() for one in queue]
            self._waiting.clear()
        for one in waiting:
            one.answer.set_exception(Unavailable("The server stops; try again in a moment.", retry_after=5))
        self._threads.shutdown(wait=False)

    def _run(self, whose: Hashable, one: _Waiting | None) -> None:
        while one is not None:
            self._answer(one)
            one = self._next(whose)

    def _answer(self, one: _Waiting) -> None:
        if not one.answer.set_running_or_notify_cancel():
            return
        try:
            if time.monotonic() - one.since > PATIENCE:
                raise self._refusal()
            answer = one.ask()
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the answer
            one.answer.set_exception(error)
        else:
            one.answer.set_result(answer)

    def _next(self, whose: Hashable) -> _Waiting | None:
        """The tenant's next question for the same thread; without one, its place in the crowd is free."""
        with self._lock:
            if self._waiting.get(whose):
                return self._waiting[whose].popleft()
            self._waiting.pop(whose, None)
            self._running[whose] -= 1
            if not self._running[whose]:
                del self._running[whose]
            return None

    def _refusal(self) -> Unavailable:
        return Unavailable(self._busy, retry_after=5)


class Outside:
    """The crowds of a process: those who look into buckets, those who try them, which takes longer, and those who talk
    with identity providers, each of which has a share as tenants have.
    """

    def __init__(self) -> None:
        looks = "Too many uploads of this organization are being looked for in its buckets; try again in a moment."
        probes = "Another bucket of this organization is being tried just now; try again in a moment."
        visits = "Many others are being signed in there just now; try again in a moment."
        self._crowds = {
            "look": Crowd("look", size=16, share=LOOKS_AT_ONCE, queue=100, busy=looks),
            "probe": Crowd("probe", size=4, share=PROBES_AT_ONCE, queue=0, busy=probes),
            "visit": Crowd("visit", size=12, share=VISITS_AT_ONCE, queue=100, busy=visits),
        }

    def ask(self, question: Question) -> Future[Any]:
        """The answer to come. Raises `Unavailable` for a tenant that asks too much at once."""
        return self._crowds[question.purpose].ask(question.whose, question.ask)

    def close(self) -> None:
        """Ask nothing any more."""
        for crowd in self._crowds.values():
            crowd.close()
