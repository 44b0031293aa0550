"""Turns jobs into replies, several at once where that gives the same, and never fewer replies than jobs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .batching import NotSplittable, batch_dimension, join, rows_of, split
from .exchange import Inputs, Outputs, Protocol, Refusal, Reply
from .jobs import Job
from .model import LoadedModel

# The first merged calls, and one of so many later ones, are also run one by one, and must give the same.
PROVEN_AFTER = 3
PROVE_AGAIN = 1000


class Runner:
    """Runs jobs. `batches`: several may be one call, as the manifest allows it and the model has not disproved it."""

    def __init__(self, model: LoadedModel, defaults: Callable[[], Mapping[str, str]], batches: bool = True) -> None:
        self.model = model
        self.defaults = defaults
        self.batches = batches and batch_dimension(model.manifest) is not None
        self.merged = 0
        self.pid = os.getpid()

    def read(self, job: Job) -> Reply | None:
        """Find out what a job asks for; the reply, if that is nothing the model can be asked."""
        try:
            job.call = job.protocol.prepare(self.model, job.request, self.defaults())
        except Refusal as refusal:
            return job.protocol.refuse(refusal)
        except Exception as error:
            return failure(job.protocol, error)
        if self.batches:
            job.rows = rows_of(job.call.inputs)
        return None

    def run(self, jobs: list[Job]) -> list[Reply]:
        """The replies to jobs. What fails together is tried one by one: a bad row hurts nobody but its caller."""
        if len(jobs) > 1 and (replies := self.run_together(jobs)):
            return replies
        return [self.run_alone(job) for job in jobs]

    def run_together(self, jobs: list[Job]) -> list[Reply] | None:
        """The replies, or None where they are better found one by one."""
        calls = [job.call for job in jobs if job.call]
        try:
            outputs = self.compute(join(calls), calls[0].attributes)
            parts = split(outputs, [job.rows for job in jobs])
        except NotSplittable as error:
            self.no_more_batches(str(error))
            return None
        except BaseException:
            return self.blame(jobs)
        self.merged += 1
        if self.merged <= PROVEN_AFTER or self.merged % PROVE_AGAIN == 0:
            return self.prove(jobs, parts)
        return [
            attempt(job.protocol, lambda call=call, part=part: call.answer(part))  # type: ignore[misc]
            for job, call, part in zip(jobs, calls, parts, strict=True)
        ]

    def prove(self, jobs: list[Job], parts: list[Outputs]) -> list[Reply]:
        """Run jobs one by one, and see whether that gives what the merged call gave.

        A manifest may say `batch` of a model whose rows depend on each other: one that ranks, or scales by the mean.
        """
        alone: list[Outputs] = []
        replies = [self.run_alone(job, alone.append) for job in jobs]
        if len(alone) == len(parts) and not all(map(same, alone, parts)):
            self.no_more_batches("a row gives something else among others than alone")
        return replies

    def blame(self, jobs: list[Job]) -> list[Reply]:
        """A merged call has raised. Where each of its jobs succeeds alone, merging itself is at fault."""
        replies = [self.run_alone(job) for job in jobs]
        if all(reply.status == 200 for reply in replies):
            self.no_more_batches("it fails with rows that it can compute one by one")
        return replies

    def no_more_batches(self, reason: str) -> None:
        """From now on every request is a call of its own."""
        if self.batches:
            print(f"Requests to this model are no longer run in batches: {reason}", file=sys.stderr)
        self.batches = False

    def run_alone(self, job: Job, keep: Callable[[Outputs], None] = lambda outputs: None) -> Reply:
        """The reply to one job; its outputs are also handed to `keep`."""
        if job.call is None and (reply := self.read(job)):
            return reply
        call = job.call
        if call is None or job.over:
            return Reply(503, b"")

        def answer() -> Reply:
            outputs = self.compute(call.inputs, call.attributes)
            keep(outputs)
            return call.answer(outputs)

        return attempt(job.protocol, answer)

    def compute(self, inputs: Inputs, attributes: dict[str, str]) -> Outputs:
        """Run the model. A copy of this process that the model has made by a fork ends where it would answer."""
        try:
            return self.model.compute(inputs, attributes)
        finally:
            if os.getpid() != self.pid:
                os._exit(0)


def same(alone: Outputs, merged: Outputs) -> bool:
    """Whether two runs gave the same; sums of floats may be taken in another order, and differ in their last digits."""
    return all(same_values(np.asarray(value), np.asarray(merged[name])) for name, value in alone.items())


def same_values(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """The same of two arrays."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind == other.dtype.kind == "f":
        close = 1e-4 if min(one.dtype.itemsize, other.dtype.itemsize) < 8 else 1e-9
        return bool(np.allclose(one, other, rtol=close, atol=close, equal_nan=True))
    return bool(np.array_equal(one, other))


def attempt(protocol: Protocol, answer: Callable[[], Reply]) -> Reply:
    """The reply, or what became of it: the model is foreign code, which may raise anything, SystemExit included."""
    try:
        return answer()
    except Refusal as refusal:
        return protocol.refuse(refusal)
    except BaseException as error:
        return failure(protocol, error)


def failure(protocol: Protocol, error: BaseException) -> Reply:
    """The model's own mistake, with its last line; the whole of it is in the log."""
    traceback.print_exception(error, file=sys.stderr)
    return protocol.refuse(Refusal(500, f"The model failed: {type(error).__name__}: {error}"))
