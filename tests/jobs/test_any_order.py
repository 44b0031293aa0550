"""Whatever workers do, in whatever order: the queue beside a model of it that fits on one page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select, update

from luml_app.core import tables as t
from luml_app.jobs import queue
from luml_app.web.house import House
from tests.cast import Cast

KEYS = ["deployment:1", "deployment:2"]
ENDED = {"succeeded", "failed", "dead", "cancelled"}
ATTEMPTS = 3
Lease = tuple[UUID, UUID]


@dataclass
class Job:
    """One job of the model. `due`: its pause is over; `lost`: its lease has run out."""

    key: str
    kind: str
    state: str = "queued"
    attempts: int = 0
    due: bool = True
    lost: bool = False
    token: UUID | None = None

    @property
    def exhausted(self) -> bool:
        return self.attempts >= ATTEMPTS

    def end(self, state: str) -> None:
        self.state, self.token = state, None


class Model(dict[UUID, Job]):
    """All jobs that there have ever been."""

    def others(self, job_id: UUID, state: str) -> list[Job]:
        mine = self[job_id].key
        return [job for name, job in self.items() if name != job_id and job.key == mine and job.state == state]

    def claimable(self, job_id: UUID) -> bool:
        job = self[job_id]
        waits = job.state == "queued" and job.due
        return (waits or (job.state == "leased" and job.lost)) and all(
            other.lost for other in self.others(job_id, "leased")
        )

    def bury(self, job_id: UUID) -> None:
        """What stands in the way of a claim and is lost: superseded by a job that waits, or tried often enough."""
        job = self[job_id]
        if job.state == "leased" and job.lost and job.exhausted:
            job.end("dead")
        for other in self.others(job_id, "leased") if job.state == "queued" else []:
            if other.lost:
                other.end("dead" if other.exhausted else "cancelled")

    def holds(self, lease: Lease) -> bool:
        return self[lease[0]].token == lease[1]

    def fail(self, job_id: UUID, *, transient: bool) -> None:
        job = self[job_id]
        if not transient:
            job.end("failed")
        elif job.exhausted:
            job.end("dead")
        elif self.others(job_id, "queued"):
            job.end("cancelled")
        else:
            job.end("queued")
            job.due = False


def machine(do: Callable[..., Any], place: dict[str, Any]) -> type[RuleBasedStateMachine]:
    """The machine; `do` runs a function of the queue in a transaction of its own."""

    class Workers(RuleBasedStateMachine):
        queued = Bundle("queued")
        leases = Bundle("leases")

        def __init__(self) -> None:
            super().__init__()
            self.model = Model()
            do(lambda db: db.execute(delete(t.jobs)))

        def rows(self) -> dict[UUID, Any]:
            return {row.id: row for row in do(lambda db: db.execute(select(t.jobs)).all())}

        @rule(target=queued, key=st.sampled_from(KEYS), kind=st.sampled_from(["deploy", "undeploy"]))
        def enqueue(self, key: str, kind: str) -> UUID:
            job = queue.new_job(kind, {"deployment_id": key}, dedupe_key=key, **place)
            row = do(queue.enqueue, job | {"max_attempts": ATTEMPTS})
            waiting = [name for name, one in self.model.items() if one.key == key and one.state == "queued"]
            assert waiting in ([], [row.id]), "one that waits already is found again"
            self.model[row.id] = Job(key, kind)
            return row.id

        @rule(target=leases, job_id=queued)
        def claim(self, job_id: UUID) -> Any:
            row = do(queue.claim, job_id, 60)
            self.model.bury(job_id)
            assert (row is not None) == self.model.claimable(job_id)
            if row is None:
                return multiple()
            job = self.model[job_id]
            job.state, job.lost, job.attempts, job.token = "leased", False, job.attempts + 1, row.lease_token
            return job_id, row.lease_token

        @rule(lease=leases)
        def renew(self, lease: Lease) -> None:
            held = self.model.holds(lease)
            assert (do(queue.renew, *lease, 60) is not None) == held
            if held:
                self.model[lease[0]].lost = False

        @rule(lease=leases, how=st.sampled_from(["succeed", "fail", "pass"]))
        def report(self, lease: Lease, how: str) -> None:
            held = self.model.holds(lease)
            if how == "succeed":
                row = do(queue.succeed, *lease, {})
            else:
                row = do(queue.fail, *lease, {}, transient=how == "pass")
            assert (row is not None) == held, "only who holds the lease may report"
            if held and how == "succeed":
                self.model[lease[0]].end("succeeded")
            elif held:
                self.model.fail(lease[0], transient=how == "pass")

        @rule(key=st.sampled_from(KEYS))
        def leases_run_out(self, key: str) -> None:
            past, mine = func.now() - timedelta(seconds=1), (t.jobs.c.state == "leased", t.jobs.c.dedupe_key == key)
            do(lambda db: db.execute(update(t.jobs).where(*mine).values(lease_expires_at=past)))
            for job in self.model.values():
                job.lost = job.lost or (job.state == "leased" and job.key == key)

        @rule()
        def pauses_end(self) -> None:
            do(lambda db: db.execute(update(t.jobs).values(scheduled_at=func.now())))
            for job in self.model.values():
                job.due = True

        @rule(key=st.sampled_from(KEYS))
        def cancel(self, key: str) -> None:
            do(queue.cancel_queued, key, "deploy")
            for job in self.model.values():
                if (job.key, job.kind, job.state) == (key, "deploy", "queued"):
                    job.end("cancelled")

        @invariant()
        def they_agree(self) -> None:
            rows = self.rows()
            assert {name: (one.state, one.type, one.attempts, one.lease_token) for name, one in rows.items()} == {
                name: (job.state, job.kind, job.attempts, job.token) for name, job in self.model.items()
            }
            listed = {row.id for row in do(queue.waiting, place["satellite_id"])}
            assert listed == {name for name in self.model if self.model.claimable(name)}

        @invariant()
        def at_most_one_waits_and_one_is_at_work(self) -> None:
            for state in ("queued", "leased"):
                keys = [job.key for job in self.model.values() if job.state == state]
                assert len(keys) == len(set(keys))

        @invariant()
        def what_has_ended_has_an_end(self) -> None:
            for row in self.rows().values():
                assert row.attempts <= row.max_attempts
                assert (row.finished_at is not None) == (row.state in ENDED)

        def teardown(self) -> None:
            """None is lost: a patient worker brings whatever is left to an end, and there is nothing left then."""
            for _ in range(len(self.model) * (ATTEMPTS + 1)):
                self.pauses_end()
                for key in KEYS:
                    self.leases_run_out(key)
                for row in do(queue.waiting, place["satellite_id"]):
                    if leased := do(queue.claim, row.id, 60):
                        do(queue.succeed, leased.id, leased.lease_token, {})
            assert {row.state for row in self.rows().values()} <= ENDED

    return Workers


def run(house: House, cast: Cast, alices: Any, runs: int, steps: int) -> None:
    satellite_id = alices.satellites.create(*cast.here.path, name="Worker").satellite.id

    def do(function: Any, *arguments: Any, **named: Any) -> Any:
        with house.database.write() as db:
            return function(db, *arguments, **named)

    run_state_machine_as_test(
        machine(do, {"satellite_id": satellite_id, "orbit_id": cast.here.orbit_id}),
        settings=settings(
            max_examples=runs, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_rules_hold_in_any_order(house: House, cast: Cast, alices: Any) -> None:
    run(house, cast, alices, 15, 30)


@pytest.mark.slow
def test_the_rules_hold_in_any_order_for_long(house: House, cast: Cast, alices: Any) -> None:
    run(house, cast, alices, 50, 40)
