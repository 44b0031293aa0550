"""Runs the model: in the event loop where it is quick, else in threads, and several requests in one call if it may.

What a request meets here, in this order: a bounded queue (503 beyond), a batch of all that waits and may join, a place
to run, and a limit on its time (504 beyond). While nothing runs, nothing waits: batches come about only because
requests arrive while the model is busy, or come at once.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import math
import os
import queue
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .batching import may_join
from .connection import Exchange
from .exchange import Call, Protocol, Reply, Request
from .jobs import Job
from .model import LoadedModel
from .runner import Runner

# A call that takes less is not worth the way to a thread and back; one that takes more holds up others.
QUICK_SECONDS = 0.002
SLOW_SECONDS = 0.01
# So many quick calls, one after the other, make a model a quick one; a slow one makes it slow again.
QUICK_CALLS = 5
# Bodies up to this size are read, and their calls run, in the event loop.
SMALL_BODY = 256 * 1024
# A call that goes on for so long after all its callers have hung up will not come back.
ABANDONED_SECONDS = 60.0
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Limits:
    """How much may wait, how long a request may take in seconds (0: as long as it likes), and how to batch.

    `delay` is how many seconds a request may wait for others to join it, `rows` how many rows one call may have.
    """

    queue: int = 256
    seconds: float = 0.0
    delay: float = 0.0
    rows: int = 1024
    threads: int = min(8, os.cpu_count() or 1)


@dataclass(eq=False)
class Batch:
    """Jobs that run together, and since when."""

    jobs: list[Job]
    began: float = field(default_factory=time.monotonic)
    abandoned: float = math.inf

    def held(self, now: float, limit: float) -> bool:
        """Whether the thread that runs it is not to be hoped for any more."""
        if all(job.over for job in self.jobs):
            self.abandoned = min(self.abandoned, now)
        return now - self.began > limit or now - self.abandoned > ABANDONED_SECONDS


class Stopwatch:
    """What a call of the model takes of this thread's time.

    A call that never waits takes what it computes: while the machine has other things to do, the clock says more.
    """

    def __init__(self) -> None:
        self.clock, self.computed, self.waits = time.perf_counter(), time.thread_time(), waits_of_thread()

    def seconds(self) -> float:
        """Since it was made."""
        if waits_of_thread() == self.waits:
            return time.thread_time() - self.computed
        return time.perf_counter() - self.clock


def waits_of_thread() -> int:
    """How often this thread has waited for something by itself."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


class Pace:
    """Whether the model is quick, learnt from what its calls take."""

    def __init__(self) -> None:
        self.streak = 0

    @property
    def quick(self) -> bool:
        """Whether the last calls all were."""
        return self.streak >= QUICK_CALLS

    def note(self, seconds: float) -> None:
        """Learn from one call."""
        if seconds < QUICK_SECONDS:
            self.streak += 1
        elif seconds > SLOW_SECONDS:
            self.streak = 0


class Engine:
    """Takes requests from the event loop's thread and answers them there.

    `stuck` is called when every thread is held by a call that has taken too long: a thread cannot be ended, so only a
    new process helps.
    """

    def __init__(
        self, model: LoadedModel, limits: Limits, defaults: Callable[[], Mapping[str, str]], stuck: Callable[[], None]
    ) -> None:
        self.runner = Runner(model, defaults, batches=limits.rows > 1)
        self.limits = limits
        self.stuck = stuck
        self.pace = Pace()
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[Job] = deque()
        self.running: list[Batch] = []
        self.scheduled = False
        self.watched = False
        self.work: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self.threads = 0

    def submit(self, protocol: Protocol, request: Request, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        job = Job(protocol, request, exchange)
        if len(self.waiting) >= self.limits.queue:
            job.refuse(503, "Too many requests are waiting for this model")
            return
        is_small = len(request.body) <= SMALL_BODY and b"content-encoding" not in request.headers
        if is_small and (reply := self.runner.read(job)):
            job.respond(reply)
            return
        self.waiting.append(job)
        self.schedule()
        self.watch()

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self.waiting or self.running)

    def schedule(self) -> None:
        """See to it that what waits is looked at, after all that has arrived by now has been read."""
        if not self.scheduled:
            self.scheduled = True
            if self.limits.delay and not self.running:
                self.loop.call_later(self.limits.delay, self.dispatch)
            else:
                self.loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Run the next batch. In between, the loop reads what has arrived, and answers others."""
        self.scheduled = False
        if len(self.running) >= self.limits.threads:
            return
        batch = self.next_batch()
        if not batch:
            return
        if self.pace.quick and all(job.call for job in batch):
            self.run_here(batch)
        else:
            self.run_in_thread(batch)
        if self.waiting:
            self.schedule()

    def next_batch(self) -> list[Job]:
        """The first that waits, and those behind it that may join; empty when nothing waits."""
        while self.waiting and self.waiting[0].over:
            self.waiting.popleft()
        if not self.waiting:
            return []
        batch = [self.waiting.popleft()]
        if self.runner.batches and batch[0].call:
            rows = batch[0].rows
            while self.waiting and self.joins(batch[0].call, self.waiting[0], rows):
                job = self.waiting.popleft()
                if not job.over:
                    batch.append(job)
                    rows += job.rows
        return batch

    def joins(self, first: Call, job: Job, rows: int) -> bool:
        """Whether a job may join a batch that has so many rows."""
        return job.call is not None and rows + job.rows <= self.limits.rows and may_join(first, job.call)

    def run_here(self, batch: list[Job]) -> None:
        """Run in the event loop. A model that starts a loop of its own must not find ours."""
        watch = Stopwatch()
        asyncio.events._set_running_loop(None)
        try:
            replies = self.runner.run(batch)
        finally:
            asyncio.events._set_running_loop(self.loop)
        self.pace.note(watch.seconds())
        for job, reply in zip(batch, replies, strict=True):
            job.respond(reply)

    def run_in_thread(self, jobs: list[Job]) -> None:
        """Hand a batch to a thread."""
        batch = Batch(jobs)
        self.running.append(batch)
        if self.threads < len(self.running):
            self.threads += 1
            threading.Thread(target=self.work_on, name=f"compute-{self.threads}", daemon=True).start()
        self.work.put(batch)

    def work_on(self) -> None:
        """What a thread does, until the process ends."""
        while True:
            batch = self.work.get()
            watch = Stopwatch()
            replies = self.runner.run(batch.jobs)
            self.loop.call_soon_threadsafe(self.done, batch, replies, watch.seconds())

    def done(self, batch: Batch, replies: list[Reply], taken: float) -> None:
        """A thread has finished a batch."""
        self.running.remove(batch)
        self.pace.note(taken)
        for job, reply in zip(batch.jobs, replies, strict=True):
            job.respond(reply)
        if self.waiting:
            self.schedule()

    def watch(self) -> None:
        """Look after the time limits while anything is under way."""
        if not self.watched:
            self.watched = True
            self.loop.call_later(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Tell those who have waited too long, and tell the process when no thread is left."""
        self.watched = False
        now, limit = time.monotonic(), self.limits.seconds or math.inf
        for job in [*self.waiting, *(job for batch in self.running for job in batch.jobs)]:
            if now - job.arrived > limit and not job.over:
                job.refuse(504, f"The model took longer than {limit:g} s")
        if sum(batch.held(now, limit) for batch in self.running) >= self.limits.threads:
            self.give_up()
        elif self.busy:
            self.watch()

    def give_up(self) -> None:
        """Every thread is held by a call that does not end."""
        for job in self.waiting:
            if not job.over:
                job.refuse(503, "The model does not come back from earlier requests; it is being started anew")
        self.stuck()
