"""Whatever workers do, in whatever order: the queue against a model of it that fits on one page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select, update

from luml_app.core import tables as t
from luml_app.jobs import queue
from luml_app.web.house import House
from tests.cast import Cast

KEYS = st.sampled_from(["deployment:1", "deployment:2"])
ENDED = {"succeeded", "failed", "dead", "cancelled"}


def test_the_rules_hold_in_any_order(house: House, cast: Cast, alices: Any) -> None:
    satellite_id = alices.satellites.create(*cast.here.path, name="Worker").satellite.id
    place = {"satellite_id": satellite_id, "orbit_id": cast.here.orbit_id}

    def do(function: Any, *arguments: Any, **named: Any) -> Any:
        with house.database.write() as db:
            return function(db, *arguments, **named)

    class Workers(RuleBasedStateMachine):
        queued = Bundle("queued")
        leases = Bundle("leases")

        def __init__(self) -> None:
            super().__init__()
            self.holders: dict[UUID, UUID] = {}
            self.ended: dict[UUID, str] = {}
            do(lambda db: db.execute(delete(t.jobs)))

        def rows(self) -> list[Any]:
            return list(do(lambda db: db.execute(select(t.jobs)).all()))

        @rule(target=queued, key=KEYS, kind=st.sampled_from(["deploy", "undeploy"]))
        def enqueue(self, key: str, kind: str) -> UUID:
            job = queue.new_job(kind, {"deployment_id": key}, dedupe_key=key, **place)
            row = do(queue.enqueue, job)
            assert (row.state, row.type) == ("queued", kind)
            return row.id

        @rule(target=leases, job_id=queued)
        def claim(self, job_id: UUID) -> Any:
            row = do(queue.claim, job_id, 60)
            if row is None:
                return multiple()
            self.holders[job_id] = row.lease_token
            return job_id, row.lease_token

        @rule(lease=leases)
        def renew(self, lease: tuple[UUID, UUID]) -> None:
            assert (do(queue.renew, *lease, 60) is not None) == self.holds(lease)

        @rule(lease=leases, how=st.sampled_from(["succeed", "fail", "pass"]))
        def report(self, lease: tuple[UUID, UUID], how: str) -> None:
            held = self.holds(lease)
            if how == "succeed":
                row = do(queue.succeed, *lease, {})
            else:
                row = do(queue.fail, *lease, {}, transient=how == "pass")
            assert (row is not None) == held, "only who holds the lease may report"
            if held:
                self.holders.pop(lease[0])

        @rule()
        def leases_run_out(self) -> None:
            past = func.now() - timedelta(seconds=1)
            do(lambda db: db.execute(update(t.jobs).where(t.jobs.c.state == "leased").values(lease_expires_at=past)))

        @rule()
        def pauses_end(self) -> None:
            do(lambda db: db.execute(update(t.jobs).values(scheduled_at=func.now())))

        @rule(key=KEYS)
        def cancel(self, key: str) -> None:
            do(queue.cancel_queued, key, "deploy")

        def holds(self, lease: tuple[UUID, UUID]) -> bool:
            state = next(row.state for row in self.rows() if row.id == lease[0])
            return state == "leased" and self.holders.get(lease[0]) == lease[1]

        @invariant()
        def at_most_one_waits_and_one_is_at_work(self) -> None:
            rows = self.rows()
            for state in ("queued", "leased"):
                keys = [row.dedupe_key for row in rows if row.state == state]
                assert len(keys) == len(set(keys))

        @invariant()
        def what_has_ended_stays_as_it_ended(self) -> None:
            for row in self.rows():
                assert row.attempts <= row.max_attempts
                assert (row.finished_at is not None) == (row.state in ENDED)
                assert self.ended.get(row.id, row.state) == row.state
                if row.state in ENDED:
                    self.ended[row.id] = row.state

    run_state_machine_as_test(
        Workers,
        settings=settings(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
