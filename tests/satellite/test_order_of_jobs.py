"""In which order jobs are claimed: the oldest first, and nearly so where several workers share a key."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any, cast

from satellite.control import DataFolder
from satellite.jobs import FARTHEST, Worker
from satellite.plan import Outcome
from satellite.rest import RestPlatform
from tests.satellite.contract_server import TOKEN, ContractServer, until


class Nothing:
    """In the place of the reconciler: there is nothing to be done for any deployment."""

    def converge(self, deployment_id: str, abandoned: threading.Event) -> Outcome:
        return "absent"


def worker(platform: ContractServer, folder: Path, hands: int) -> Worker:
    folder.mkdir()
    return Worker(RestPlatform(platform.url, TOKEN), cast(Any, Nothing()), 30.0, 2.0, hands, DataFolder(folder))


def late(claims: list[str], tasks: list[str]) -> int:
    """How much later a job was claimed than its age would have it, at most; counted in jobs."""
    age = {task: number for number, task in enumerate(tasks)}
    worst, youngest = 0, -1
    for place, task in enumerate(claims):
        youngest = max(youngest, age[task])
        worst = max(worst, place - age[task])
    assert youngest == len(tasks) - 1
    return worst


def test_one_worker_claims_the_oldest_first(our_platform: ContractServer, tmp_path: Path) -> None:
    tasks = [our_platform.add_task("undeploy", str(uuid.uuid4())) for _ in range(150)]
    alone = worker(our_platform, tmp_path / "one", hands=1)
    alone.start()
    until(lambda: len(our_platform.finished) == len(tasks))
    alone.stop()
    assert our_platform.claims == tasks


def test_several_with_one_key_do_each_job_once_and_leave_none_far_behind(
    our_platform: ContractServer, tmp_path: Path
) -> None:
    tasks = [our_platform.add_task("undeploy", str(uuid.uuid4())) for _ in range(600)]
    several = [worker(our_platform, tmp_path / str(number), hands=2) for number in range(4)]
    for one in several:
        one.start()
    until(lambda: len(our_platform.finished) == len(tasks), 60)
    for one in several:
        one.stop()
    assert sorted(our_platform.claims) == sorted(tasks)
    # Some more than the list is long: what a worker has in its hands is younger by then.
    assert late(our_platform.claims, tasks) <= 1.5 * FARTHEST
